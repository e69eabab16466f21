//! What a server is: MySQL or MariaDB, its version and the settings that the rest asks for.

use std::collections::BTreeMap;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    Mysql,
    Mariadb,
}

/// A server, as it was asked at the beginning of a session.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub flavor: Flavor,
    /// `90704` for 9.7.4.
    pub version: u32,
    /// The version as the server writes it.
    pub shown: String,
    /// Its variables of interest.
    variables: BTreeMap<String, String>,
}

/// Variables that only one of the two has tell them apart, whatever a `--version` option says.
const MYSQL_ONLY: &str = "gtid_mode";
const MARIADB_ONLY: &str = "gtid_domain_id";

/// What is asked of every server.
pub(crate) const ASKED: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN (\
    'gtid_mode', 'gtid_domain_id', 'gtid_strict_mode', 'version', 'version_comment', 'server_uuid', 'server_id', 'hostname', 'port', 'datadir', \
    'max_allowed_packet', 'local_infile', 'lower_case_table_names', 'log_bin', 'log_bin_basename', 'log_slave_updates', \
    'log_replica_updates', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'binlog_row_value_options', \
    'binlog_transaction_compression', 'log_bin_compress', 'sync_binlog', 'innodb_flush_log_at_trx_commit', 'read_only', \
    'super_read_only', 'wsrep_on', 'log_bin_trust_function_creators', 'sql_require_primary_key', \
    'sql_generate_invisible_primary_key', 'innodb_native_foreign_keys', 'enforce_gtid_consistency', 'binlog_expire_logs_seconds', \
    'expire_logs_days', 'binlog_checksum', 'server_uid')";

impl Server {
    /// From the answer to [`ASKED`]; `None` where it is neither.
    pub fn new(variables: BTreeMap<String, String>) -> Option<Server> {
        let flavor = if variables.contains_key(MYSQL_ONLY) {
            Flavor::Mysql
        } else if variables.contains_key(MARIADB_ONLY) {
            Flavor::Mariadb
        } else {
            return None;
        };
        let shown = variables.get("version")?.clone();
        Some(Server {
            flavor,
            version: version_number(&shown)?,
            shown,
            variables,
        })
    }

    /// A variable's value.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.variable(name), Some("ON" | "1" | "YES"))
    }

    /// Bytes of one statement or row at most.
    pub fn max_allowed_packet(&self) -> usize {
        self.variable("max_allowed_packet")
            .and_then(|v| v.parse().ok())
            .unwrap_or(4 << 20)
    }

    /// Engine and version for people.
    pub fn name(&self) -> String {
        let name = match self.flavor {
            Flavor::Mysql => "MySQL",
            Flavor::Mariadb => "MariaDB",
        };
        format!("{name} {}", self.shown)
    }

    /// The collation that tells all texts apart, trailing blanks too, and orders them by their code points.
    pub fn exact_collation(&self) -> &'static str {
        match self.flavor {
            Flavor::Mysql => "utf8mb4_0900_bin",
            Flavor::Mariadb => "utf8mb4_nopad_bin",
        }
    }
}

/// `10.11.14-MariaDB-0+deb12u2-log` is 101114.
pub(crate) fn version_number(text: &str) -> Option<u32> {
    let number = |part: Option<&str>| -> Option<u32> {
        let part = part?;
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..end].parse().ok()
    };
    let mut parts = text.splitn(3, '.');
    let major = number(parts.next())?;
    let minor = number(parts.next())?;
    let patch = number(parts.next()).unwrap_or(0);
    (major < 1000 && minor < 100 && patch < 100).then(|| major * 10_000 + minor * 100 + patch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn flavors_are_told_by_their_variables_and_not_by_the_version() {
        let server = |name: &str, version: &str| {
            Server::new(
                [(name, "x"), ("version", version)]
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .into(),
            )
        };
        let mysql = server(MYSQL_ONLY, "9.7.4").unwrap();
        assert_eq!((mysql.flavor, mysql.version), (Flavor::Mysql, 90_704));
        let mariadb = server(MARIADB_ONLY, "10.11.14-MariaDB-0+deb12u2-log").unwrap();
        assert_eq!(
            (mariadb.flavor, mariadb.version),
            (Flavor::Mariadb, 101_114)
        );
        assert!(server("other", "8.0.1").is_none());
        assert!(server(MYSQL_ONLY, "devel").is_none());
    }
}
