//! From the server's and the driver's errors to [`StoreError`].
//!
//! A server's DETAIL and CONTEXT carry values of rows, and so do the messages of some classes of errors: none of those
//! is kept. The driver's own error type prints all of them, so it is never kept as a cause.

use std::error::Error as StdError;
use std::io;

use crossfade_store::{ErrorKind, StoreError};

/// What a server said about an error, without what may hold values of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerReport {
    /// SQLSTATE.
    pub code: String,
    /// The primary message; where its class may quote a value, what the SQLSTATE says.
    pub message: String,
    /// The schema of the table.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The data type.
    pub datatype: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
    /// The place in a COPY: `line 7, column note`.
    pub place: Option<String>,
}

impl ServerReport {
    /// From the driver's error.
    pub(crate) fn from_driver(e: &tokio_postgres::error::DbError) -> ServerReport {
        let own = |s: Option<&str>| s.map(str::to_owned);
        ServerReport {
            code: e.code().code().to_owned(),
            message: e.message().to_owned(),
            schema: own(e.schema()),
            table: own(e.table()),
            column: own(e.column()),
            datatype: own(e.datatype()),
            constraint: own(e.constraint()),
            place: e.where_().and_then(copy_place),
        }
        .without_values()
    }

    /// From the fields of an ErrorResponse (PostgreSQL documentation, section 55.8): pairs of field type and value.
    pub fn from_fields<'a>(fields: impl IntoIterator<Item = (u8, &'a str)>) -> ServerReport {
        let mut report = ServerReport::default();
        for (field, value) in fields {
            let value = value.to_owned();
            match field {
                b'C' => report.code = value,
                b'M' => report.message = value,
                b's' => report.schema = Some(value),
                b't' => report.table = Some(value),
                b'c' => report.column = Some(value),
                b'd' => report.datatype = Some(value),
                b'n' => report.constraint = Some(value),
                b'W' => report.place = copy_place(&value),
                _ => {}
            }
        }
        report.without_values()
    }

    /// The error, as the store `label` shows it; `doing` completes "while …".
    pub fn into_error(self, label: &str, doing: &str) -> StoreError {
        let (kind, code) = classify(&self.code);
        let mut what = format!("while {doing}: {}", self.message);
        if let Some(constraint) = &self.constraint
            && !what.contains(constraint.as_str())
        {
            what.push_str(&format!(" (constraint {constraint})"));
        }
        if let Some(place) = &self.place {
            what.push_str(&format!(" ({place})"));
        }
        let mut error = StoreError::new(kind, code, label, what);
        error.table = self.table.as_ref().map(|table| match &self.schema {
            Some(schema) => format!("{schema}.{table}"),
            None => table.clone(),
        });
        error.fix = fix_for(&self.code).map(str::to_owned);
        error.server_code = Some(self.code);
        error
    }

    /// Replaces the message where its class may quote a value.
    fn without_values(mut self) -> ServerReport {
        match self.code.get(..2) {
            Some("22") => {
                self.message = data_exception(&self.code).to_owned();
                if let Some(column) = &self.column {
                    self.message.push_str(&format!(", column {column}"));
                }
                if let Some(datatype) = &self.datatype {
                    self.message.push_str(&format!(", type {datatype}"));
                }
            }
            Some("P0") => {
                self.message = "a function or trigger on the server raised an error; its text may hold values and is in the server's log".to_owned();
            }
            _ => {}
        }
        self
    }
}

/// `line 7, column note` of a COPY's CONTEXT; the value that follows is left out.
fn copy_place(context: &str) -> Option<String> {
    let rest = context.strip_prefix("COPY ")?;
    let at = rest.find(", line ")?;
    let place = &rest[at + 2..];
    let end = place.find([':', '\n', '"']).unwrap_or(place.len());
    Some(place[..end].to_owned())
}

/// What each SQLSTATE means for a migration (PostgreSQL documentation, appendix A).
fn classify(code: &str) -> (ErrorKind, &'static str) {
    let class = code.get(..2).unwrap_or("");
    match (class, code) {
        (_, "57P01" | "57P02" | "57P03") => (ErrorKind::Unavailable, "postgres.unavailable"),
        (_, "57P04") => (ErrorKind::Missing, "postgres.missing"),
        (_, "57P05" | "25P03" | "25P04") => (ErrorKind::Connection, "postgres.session_ended"),
        (_, "57014") => (ErrorKind::Busy, "postgres.cancelled"),
        ("08", _) => (ErrorKind::Connection, "postgres.connection"),
        (_, "40001" | "40P01") => (ErrorKind::Conflict, "postgres.conflict"),
        ("40", _) => (ErrorKind::Connection, "postgres.outcome_unknown"),
        (_, "55P03") => (ErrorKind::Busy, "postgres.lock_timeout"),
        (_, "55006") => (ErrorKind::Busy, "postgres.in_use"),
        (_, "55000") => (ErrorKind::Setting, "postgres.state"),
        (_, "55P02") => (ErrorKind::Setting, "postgres.setting"),
        ("28", _) => (ErrorKind::Authentication, "postgres.authentication"),
        (_, "42501") => (ErrorKind::Permission, "postgres.permission"),
        (_, "23505" | "23P01") => (ErrorKind::UniqueViolation, "postgres.unique_violation"),
        ("22" | "23" | "44" | "P0", _) => (ErrorKind::RowRefused, "postgres.row_refused"),
        ("25", "25006") => (ErrorKind::Permission, "postgres.read_only"),
        (_, "53100" | "53200") => (ErrorKind::NoSpace, "postgres.no_space"),
        ("53", _) => (ErrorKind::Unavailable, "postgres.unavailable"),
        (_, "42P01" | "3D000" | "3F000" | "42703" | "42704" | "42883") => {
            (ErrorKind::Missing, "postgres.missing")
        }
        (_, "42710" | "42P07" | "42P06" | "42701") => {
            (ErrorKind::SchemaMismatch, "postgres.duplicate_object")
        }
        (_, "42804" | "42846" | "42P16" | "2BP01") => {
            (ErrorKind::SchemaMismatch, "postgres.schema_mismatch")
        }
        ("0A", _) => (ErrorKind::Unsupported, "postgres.unsupported"),
        ("54", _) => (ErrorKind::Unsupported, "postgres.limit"),
        (_, "58P01") => (ErrorKind::LogLost, "postgres.file_missing"),
        ("58" | "F0", _) => (ErrorKind::Unavailable, "postgres.system"),
        ("XX", "XX001" | "XX002") => (ErrorKind::Corrupt, "postgres.corrupt"),
        _ => (ErrorKind::Internal, "postgres.error"),
    }
}

fn fix_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "42501" => {
            "Grant the privilege that the message names; `crossfade plan --grants` prints all that this migration needs"
        }
        "28P01" => "Check the password: in the URL, in PGPASSWORD or in the password file",
        "28000" => "Check the user's name and pg_hba.conf on the server",
        "3D000" => "Check the database's name in the URL",
        "53100" => "Free space on the server's disk, then run again",
        "53200" => "Give the server more memory, then run again",
        "53300" => "Raise max_connections, or close idle connections",
        "53400" => "Raise max_replication_slots or max_wal_senders, or drop what is unused",
        "55P03" => "Another session holds a lock on the table; see pg_locks",
        _ => return None,
    })
}

/// Class 22 in words: its messages quote the value.
fn data_exception(code: &str) -> &'static str {
    match code {
        "22001" => "a value is too long for its column",
        "22003" => "a number is out of its type's range",
        "22004" => "a NULL where none is allowed",
        "22007" | "22008" => "a date or time is not valid for its type",
        "22021" | "22P05" => "a text is not valid in the database's encoding",
        "22026" => "a bit string has the wrong length",
        "22P02" => "a text is no value of its type",
        "22P03" => "a binary form is no value of its type",
        "22P04" => "the COPY data is malformed",
        _ => "a value was refused (data exception)",
    }
}

/// The driver's error as a store's. `label` is the store, `doing` completes "while …".
pub fn from_driver(label: &str, doing: &str, e: &tokio_postgres::Error) -> StoreError {
    if let Some(report) = e.as_db_error() {
        return ServerReport::from_driver(report).into_error(label, doing);
    }
    if let Some(tls) = find_tls(e) {
        return crate::tls::explain(label, tls);
    }
    if let Some(cause) = find_io(e) {
        return from_io(label, doing, cause);
    }
    let kind = e.to_string();
    let inner = e.source().map(ToString::to_string).unwrap_or_default();
    let new = |kind, code, what: String| StoreError::new(kind, code, label, what);
    if e.is_closed() || kind.starts_with("timeout") {
        return new(
            ErrorKind::Connection,
            "postgres.connection",
            format!("while {doing}: the connection was lost"),
        );
    }
    if inner.contains("does not support TLS") {
        return crate::tls::not_offered(label);
    }
    if inner.contains("password missing") {
        return new(
            ErrorKind::Authentication,
            "postgres.authentication",
            "the server asks for a password and there is none".into(),
        )
        .fix("Put it into PGPASSWORD or the password file (~/.pgpass), or into the URL by way of a ${VARIABLE}");
    }
    if kind.starts_with("authentication") {
        return new(
            ErrorKind::Authentication,
            "postgres.authentication",
            format!("while {doing}: {inner}"),
        );
    }
    if kind.contains("TLS") {
        return new(
            ErrorKind::Connection,
            "postgres.tls",
            format!("the TLS handshake failed: {inner}"),
        );
    }
    if kind.starts_with("unexpected message") || kind.starts_with("error parsing") {
        return new(
            ErrorKind::Corrupt,
            "postgres.protocol",
            format!("while {doing}: {kind}"),
        );
    }
    new(
        ErrorKind::Internal,
        "postgres.driver",
        format!("while {doing}: {kind}"),
    )
}

/// A socket's error as a store's.
pub fn from_io(label: &str, doing: &str, e: &io::Error) -> StoreError {
    if let Some(tls) = find_tls(e) {
        return crate::tls::explain(label, tls);
    }
    let error = StoreError::new(
        ErrorKind::Connection,
        "postgres.connection",
        label,
        format!("while {doing}: {e}"),
    );
    match e.kind() {
        io::ErrorKind::ConnectionRefused => {
            error.fix("Check host and port, that the server runs, and its listen_addresses")
        }
        io::ErrorKind::NotFound => {
            error.fix("Check the socket's directory, and that the server runs")
        }
        io::ErrorKind::TimedOut => error.fix("Check host, port and firewalls"),
        _ => error,
    }
}

/// The rustls error in a chain of causes.
fn find_tls<'a>(e: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(e);
    while let Some(e) = next {
        if let Some(tls) = e.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        if let Some(inner) = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            let inner: &(dyn StdError + 'static) = inner;
            if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
                return Some(tls);
            }
        }
        next = e.source();
    }
    None
}

fn find_io<'a>(e: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(e);
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = e.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossfade_store::Recovery;

    fn report(fields: &[(u8, &str)]) -> ServerReport {
        ServerReport::from_fields(fields.iter().copied())
    }

    #[test]
    fn values_in_messages_and_contexts_are_left_out() {
        let r = report(&[
            (b'C', "22P02"),
            (b'M', "invalid input syntax for type integer: \"secret\""),
            (b'D', "secret"),
            (b'W', "COPY orders, line 7, column total: \"secret\""),
        ]);
        assert!(!format!("{r:?}").contains("secret"));
        let shown = r.into_error("postgres://h/d", "copying").to_string();
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("line 7, column total"), "{shown}");
        let r = report(&[(b'C', "P0001"), (b'M', "secret is too old")]);
        assert!(!format!("{:?}", r.into_error("s", "applying")).contains("secret"));
    }

    #[test]
    fn table_and_constraint_are_named() {
        let e = report(&[
            (b'C', "23505"),
            (
                b'M',
                "duplicate key value violates unique constraint \"orders_pkey\"",
            ),
            (b'D', "Key (id)=(secret) already exists."),
            (b's', "public"),
            (b't', "orders"),
            (b'n', "orders_pkey"),
        ])
        .into_error("s", "applying");
        assert_eq!(e.kind, ErrorKind::UniqueViolation);
        assert_eq!(e.table.as_deref(), Some("public.orders"));
        assert_eq!(e.server_code.as_deref(), Some("23505"));
        assert!(!e.to_string().contains("secret"));
    }

    #[test]
    fn what_can_pass_by_itself_is_tried_again_and_nothing_else() {
        for code in [
            "08006", "57P01", "57P03", "40001", "40P01", "55P03", "55006", "53300", "25P03",
        ] {
            assert_eq!(classify(code).0.recovery(), Recovery::Retry, "{code}");
        }
        for code in ["53100", "XX001", "XX000", "42601", "58P01", "", "?"] {
            assert_eq!(classify(code).0.recovery(), Recovery::Stop, "{code}");
        }
        for code in ["28P01", "42501", "42P01", "3D000", "0A000"] {
            assert_eq!(classify(code).0.recovery(), Recovery::Refuse, "{code}");
        }
        for code in ["23505", "23514", "22001", "P0001"] {
            assert_eq!(classify(code).0.recovery(), Recovery::Narrow, "{code}");
        }
    }
}
