//! From the server's and the driver's errors to [`StoreError`] (MySQL documentation, "Server Error Message Reference"; MariaDB
//! documentation, "MariaDB Error Code Reference").
//!
//! Messages of many classes quote values of rows or a piece of the statement, which holds them: of those only the names that
//! follow known words are kept. The driver's own error is never kept as a cause, for it prints all.

use std::sync::Arc;

use crossfade_store::{ErrorKind, StoreError};
use mysql_async::{DriverError, Error, ServerError};

/// What a server's error number says.
pub(crate) fn kind_of(code: u16, state: &str) -> ErrorKind {
    match code {
        1213 | 1020 | 1614 | 3101 => ErrorKind::Conflict,
        1205 | 1206 | 3572 | 1412 | 3024 | 1969 | 1735 => ErrorKind::Busy,
        // 6: a temporary file that was gone already (MariaDB)
        6 | 1040 | 1041 | 1037 | 1053 | 1077 | 1079 | 1080 | 1203 | 1226 | 3168 | 3169 => {
            ErrorKind::Unavailable
        }
        1045 | 1130 | 1251 | 1524 | 1698 | 1820 | 1862 | 2058 | 2059 | 3118 | 3159 | 3955
        | 4151 => ErrorKind::Authentication,
        1044 | 1142 | 1143 | 1227 | 1370 | 1410 | 1419 | 1095 => ErrorKind::Permission,
        1148 | 1290 | 1665 | 1785 | 1836 | 3948 | 4166 | 3750 => ErrorKind::Setting,
        1049 | 1051 | 1054 | 1091 | 1109 | 1146 | 1176 | 1360 | 1305 => ErrorKind::Missing,
        1062 | 1169 | 1586 | 1761 | 1762 | 1859 => ErrorKind::UniqueViolation,
        1048
        | 1153
        | 1216
        | 1217
        | 1263..=1265
        | 1292
        | 1300
        | 1364
        | 1366
        | 1367
        | 1406
        | 1411
        | 1416
        | 1441
        | 1451
        | 1452
        | 1526
        | 1644
        | 1690
        | 1748
        | 3037
        | 3140
        | 3141
        | 3144
        | 3156
        | 3157
        | 3819
        | 3854
        | 3988
        | 4025 => ErrorKind::RowRefused,
        3 | 28 | 1021 | 1114 => ErrorKind::NoSpace,
        1033..=1035 | 1194 | 1195 | 1459 | 1712 => ErrorKind::Corrupt,
        1152 | 1158..=1161 | 1184 | 1317 | 1927 | 2002 | 2003 | 2006 | 2013 | 2055 | 4031 => {
            ErrorKind::Connection
        }
        1064 | 1115 | 1231 | 1235 | 1273 | 1286 => ErrorKind::Unsupported,
        _ if state.starts_with("08") => ErrorKind::Connection,
        _ if state.starts_with("40") => ErrorKind::Conflict,
        _ if state.starts_with("22") || state.starts_with("23") => ErrorKind::RowRefused,
        _ => ErrorKind::Internal,
    }
}

fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Connection => "mysql.connection",
        ErrorKind::Conflict => "mysql.conflict",
        ErrorKind::Busy => "mysql.busy",
        ErrorKind::Unavailable => "mysql.unavailable",
        ErrorKind::Authentication => "mysql.authentication",
        ErrorKind::Permission => "mysql.permission",
        ErrorKind::Setting => "mysql.setting",
        ErrorKind::Missing => "mysql.missing",
        ErrorKind::UniqueViolation => "mysql.unique",
        ErrorKind::RowRefused => "mysql.row_refused",
        ErrorKind::NoSpace => "mysql.no_space",
        ErrorKind::Corrupt => "mysql.corrupt",
        ErrorKind::Unsupported => "mysql.unsupported",
        _ => "mysql.failed",
    }
}

fn fix_of(code: u16, kind: ErrorKind) -> Option<&'static str> {
    Some(match (code, kind) {
        (1153, _) => {
            "Raise max_allowed_packet on the server: SET GLOBAL max_allowed_packet = 1073741824"
        }
        (1419, _) => {
            "As an administrator: SET GLOBAL log_bin_trust_function_creators = ON, or GRANT SUPER ON *.* to this user"
        }
        (_, ErrorKind::Conflict | ErrorKind::Busy) => {
            "Another transaction is in the way; look for a long one in information_schema.innodb_trx"
        }
        (_, ErrorKind::Authentication) => {
            "Check the user, the password and from where he may connect"
        }
        (_, ErrorKind::Permission) => "Grant the privilege that the message names",
        (_, ErrorKind::NoSpace) => "Free space on the server's disk",
        (_, ErrorKind::Corrupt) => "Check the table with CHECK TABLE",
        _ => return None,
    })
}

/// Codes whose messages quote names alone.
fn quotes_names_alone(code: u16) -> bool {
    matches!(
        code,
        1044 | 1045 | 1048..=1051 | 1054 | 1060 | 1061 | 1071 | 1072 | 1075 | 1091 | 1115 | 1142
            | 1143 | 1146 | 1205 | 1213 | 1227 | 1263..=1265 | 1273 | 1290 | 1359 | 1360 | 1364 | 1406
            | 1419 | 1451 | 1452 | 1665 | 1785 | 3819 | 4025
    )
}

/// The message without what may be a value: text within single quotes is kept only where a word before it says that it is a name.
pub(crate) fn without_values(code: u16, message: &str) -> String {
    if quotes_names_alone(code) {
        return message.to_owned();
    }
    if code == 1064 {
        // the place in the statement is a piece of it
        return "the server does not understand a statement".to_owned();
    }
    let mut out = match message.find(['\'', '"', '`']) {
        None => return message.to_owned(),
        Some(at) => format!("{} (a value)", message[..at].trim_end_matches([' ', ':'])),
    };
    // behind the last such word stand names alone: a value comes before it
    let names = ["for key ", "for column ", "of column "]
        .iter()
        .filter_map(|word| message.rfind(word))
        .max();
    if let Some(at) = names {
        out.push(' ');
        out.push_str(&message[at..]);
    }
    out
}

/// What a server says while doing `doing`.
pub(crate) fn server(label: &str, doing: &str, error: &ServerError) -> StoreError {
    let kind = kind_of(error.code, &error.state);
    let said = without_values(error.code, &error.message);
    let mut out = StoreError::new(kind, code_of(kind), label, format!("{doing}: {said}"));
    out.server_code = Some(format!("{} {}", error.code, error.state));
    out.fix = fix_of(error.code, kind).map(str::to_owned);
    out
}

/// Any error of the driver while doing `doing`.
pub(crate) fn driver(label: &Arc<str>, doing: &str, error: &Error) -> StoreError {
    let connection = |what: &str| {
        StoreError::new(
            ErrorKind::Connection,
            "mysql.connection",
            &**label,
            format!("{doing}: {what}"),
        )
    };
    match error {
        Error::Server(error) => server(label, doing, error),
        // who encrypts says more, of what no reader can mend
        Error::Io(mysql_async::IoError::Io(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            connection("the other side closed the connection")
        }
        Error::Io(mysql_async::IoError::Io(e)) => {
            connection(&format!("the connection failed: {}", e))
        }
        Error::Io(mysql_async::IoError::Tls(_)) => StoreError::new(
            ErrorKind::Authentication,
            "mysql.tls",
            &**label,
            format!("{doing}: the encrypted connection failed; the server's certificate may not be trusted"),
        )
        .fix("Name the authority's certificate with ssl-ca, or choose another ssl-mode"),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => StoreError::new(
            ErrorKind::Setting,
            "mysql.no_tls",
            &**label,
            "the server has no encrypted connections",
        )
        .fix("Give the server a certificate, or write ssl-mode=disabled"),
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => StoreError::new(
            ErrorKind::Authentication,
            "mysql.authentication",
            &**label,
            format!("the user's authentication plugin {name} is not known here"),
        )
        .fix("Use caching_sha2_password or mysql_native_password for this user"),
        Error::Driver(DriverError::PacketTooLarge) => StoreError::new(
            ErrorKind::RowRefused,
            "mysql.packet",
            &**label,
            format!("{doing}: a row is longer than max_allowed_packet"),
        )
        .fix("Raise max_allowed_packet on the server"),
        // the driver's other errors may show what was sent or received
        Error::Driver(_) | Error::Other(_) => connection("the connection was closed or its protocol was broken"),
        Error::Url(_) => StoreError::new(
            ErrorKind::Usage,
            "mysql.url",
            &**label,
            "the URL cannot be used to connect",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        for (code, message, kept) in [
            (
                1062,
                "Duplicate entry 'it's secret' for key 't.u'",
                "for key 't.u'",
            ),
            (
                1366,
                "Incorrect integer value: 'secret' for column `s`.`t`.`c` at row 1",
                "for column `s`",
            ),
            (
                1292,
                "Truncated incorrect DOUBLE value: 'secret'",
                "Truncated incorrect DOUBLE value",
            ),
            (
                1064,
                "You have an error near 'secret' at line 1",
                "does not understand",
            ),
            (9999, "Something \"secret\"", "Something"),
        ] {
            let shown = without_values(code, message);
            assert!(!shown.contains("secret"), "{shown}");
            assert!(shown.contains(kept), "{shown}");
        }
        assert_eq!(
            without_values(1146, "Table 'a.b' doesn't exist"),
            "Table 'a.b' doesn't exist"
        );
    }
}
