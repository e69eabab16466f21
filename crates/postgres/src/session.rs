//! What a session of crossfade sets, so that text forms, names and waits are the same whatever role or database says.

use crate::names::quote_literal;

/// What a connection is for. Its name stands in `pg_stat_activity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Reading the catalog.
    Describe,
    /// Looking for findings, and the watch.
    Check,
    /// Making and removing the capture.
    Capture,
    /// Reading rows of the source.
    Snapshot,
    /// The replication stream.
    Stream,
    /// Writing changes.
    Apply,
    /// Writing chunks.
    Load,
    /// Holding the right to write.
    Tenure,
    /// Making tables, keys, indexes and constraints.
    Build,
    /// Reading rows of the target.
    Read,
    /// Arming, firing and holding the fence, and its register.
    Fence,
    /// Writing as an application would, on a scratch database.
    Rehearse,
}

impl Purpose {
    /// The `application_name`.
    pub fn application_name(self) -> &'static str {
        match self {
            Purpose::Describe => "crossfade:describe",
            Purpose::Check => "crossfade:check",
            Purpose::Capture => "crossfade:capture",
            Purpose::Snapshot => "crossfade:snapshot",
            Purpose::Stream => "crossfade:stream",
            Purpose::Apply => "crossfade:apply",
            Purpose::Load => "crossfade:load",
            Purpose::Tenure => "crossfade:tenure",
            Purpose::Build => "crossfade:build",
            Purpose::Read => "crossfade:read",
            Purpose::Fence => "crossfade:fence",
            Purpose::Rehearse => "crossfade:rehearse",
        }
    }

    /// How long a statement waits for a lock. Short on the source: whoever waits for a table's lock makes all later users of
    /// the table wait behind him.
    pub(crate) fn lock_timeout(self) -> &'static str {
        match self {
            Purpose::Describe
            | Purpose::Check
            | Purpose::Capture
            | Purpose::Snapshot
            | Purpose::Stream
            | Purpose::Fence
            | Purpose::Rehearse => "5s",
            Purpose::Apply | Purpose::Load | Purpose::Tenure | Purpose::Read => "30s",
            // building an index concurrently waits for the transactions of all others
            Purpose::Build => "15min",
        }
    }
}

/// How long the server lets a session wait within a transaction: one side of a comparison may wait for the other's end.
pub(crate) const IDLE_IN_TRANSACTION: &str = "6h";

/// The settings of a session on a server of `version` (`server_version_num`), as names and values.
pub fn settings(purpose: Purpose, version: u32) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        // names in definitions come out qualified, and no object of a user's is taken for a system one
        ("search_path", "pg_catalog"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("lc_monetary", "C"),
        ("xmloption", "content"),
        ("array_nulls", "on"),
        ("standard_conforming_strings", "on"),
        ("quote_all_identifiers", "off"),
        // a policy that would hide rows is an error, not fewer rows
        ("row_security", "off"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
        ("default_transaction_deferrable", "off"),
        ("statement_timeout", "0"),
        ("lock_timeout", purpose.lock_timeout()),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
        ("client_min_messages", "error"),
        ("jit", "off"),
    ];
    if version >= 140_000 {
        settings.push(("idle_session_timeout", "0"));
        settings.push(("client_connection_check_interval", "5s"));
    }
    if version >= 170_000 {
        settings.push(("transaction_timeout", "0"));
    }
    settings
}

/// The settings as SQL to run once after connecting; also understood by a walsender that has a database.
pub fn settings_sql(purpose: Purpose, version: u32) -> String {
    let mut sql = String::new();
    for (name, value) in settings(purpose, version) {
        // search_path is a list: its one name must stand unquoted or as one literal, which is the same for one name
        sql.push_str(&format!("SET {name} = {};", quote_literal(value)));
    }
    // a commit is durable when its reply comes; a stronger setting of the server's stays
    sql.push_str(
        "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) \
         WHERE pg_catalog.current_setting('synchronous_commit') = 'off';",
    );
    sql
}

/// Turns a session that [`settings_sql`] has set up for one purpose over to another.
pub fn repurpose_sql(purpose: Purpose) -> String {
    format!(
        "SET application_name = {}; SET lock_timeout = {}",
        quote_literal(purpose.application_name()),
        quote_literal(purpose.lock_timeout())
    )
}

/// `server_version_num` from the text of `server_version`: `15.18 (Debian …)`, `18beta2`, `17.4`.
pub fn version_number(text: &str) -> Option<u32> {
    let number = |s: &str| {
        let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        s[..end].parse::<u32>().ok()
    };
    let major = number(text)?;
    let minor = text
        .split_once('.')
        .and_then(|(_, rest)| number(rest))
        .unwrap_or(0);
    major
        .checked_mul(10_000)?
        .checked_add(minor)
        .filter(|v| *v < 10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        assert_eq!(
            version_number("15.18 (Debian 15.18-0+deb12u1)"),
            Some(150_018)
        );
        assert_eq!(version_number("18beta2"), Some(180_000));
        assert_eq!(version_number("17.4"), Some(170_004));
        assert_eq!(version_number("devel"), None);
    }
}
