//! The SQL by which an administrator makes a least-privileged user for each side. Each line says why.

use crossfade_model::TableMapping;
use crossfade_store::CaptureSpec;

use crate::names::{cut, literal, quote};

const PASSWORD: &str = "'CHANGE-ME'";

fn user(migration: &str) -> String {
    // a user's name has 32 characters (MySQL documentation, "User Names and Passwords")
    let name: String = cut(&format!("crossfade_{migration}"))
        .chars()
        .take(32)
        .collect();
    format!("{}@'%'", literal(&name))
}

/// A user who can read the mapped tables and the log, and nothing else.
pub(crate) fn source(database: &str, spec: &CaptureSpec) -> String {
    let user = user(&spec.migration);
    let mut out = format!(
        "-- Source: run as an administrator.
CREATE USER {user} IDENTIFIED BY {PASSWORD};
-- To read the log. The server gives these for all databases only. (MariaDB: REPLICATION SLAVE, BINLOG MONITOR.)
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user};
-- To copy the rows that are there.
"
    );
    for mapping in &spec.tables {
        out.push_str(&format!(
            "GRANT SELECT ON {}.{} TO {user};\n",
            quote(database),
            quote(&mapping.source.name.name)
        ));
    }
    out
}

/// A user who can make and fill the tables of the target database, and nothing else.
pub(crate) fn target(database: &str, migration: &str, tables: &[TableMapping]) -> String {
    let user = user(migration);
    format!(
        "-- Target: run as an administrator.
CREATE USER {user} IDENTIFIED BY {PASSWORD};
-- To make {} tables and crossfade's own, their indexes and foreign keys, to fill them, and to keep others from writing by triggers.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER ON {}.* TO {user};
-- To read in the log what others write to these tables, and for a way back. The server gives these for all databases only; without them
-- such writes are not told. (MariaDB: REPLICATION SLAVE, BINLOG MONITOR.)
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user};
-- Where the server writes a binary log, triggers need one of these too:
-- SET GLOBAL log_bin_trust_function_creators = ON;  -- MySQL 8 and MariaDB
",
        tables.len(),
        quote(database)
    )
}
