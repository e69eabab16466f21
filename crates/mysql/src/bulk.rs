//! `LOAD DATA LOCAL INFILE` from memory, where the server lets it.
//!
//! With LOCAL the server takes values that do not fit, and rows whose key is there, as if IGNORE had been said: it cuts, bends
//! and skips, and warns (MySQL documentation, "LOAD DATA Statement"). So a block counts as written only if every row of it was
//! and there was not one warning. Else the block is taken back to a savepoint and written by strict statements, whose error names
//! what is wrong.

use bytes::Bytes;
use crossfade_model::{Cell, Row};
use crossfade_store::{ErrorKind, Result};
use futures_util::StreamExt as _;

use crate::connect::Client;
use crate::plan::Plan;
use crate::types::Kind;

/// Below so many rows one statement is quicker.
const WORTHWHILE: usize = 64;

/// Bytes of a packet of the file.
const PACKET: usize = 256 << 10;

pub(crate) const DOING: &str = "loading rows";

/// How a value begins that a file cannot hold ([`crate::json_decimals`]); every literal of a text begins with a quote.
const EXPRESSION: &str = "JSON_SET(";

/// Whether a block is worth a file, and the server takes one.
///
/// Not one with a 0 where the server counts: from a file into a table with triggers MariaDB gives it the next number, whatever
/// `NO_AUTO_VALUE_ON_ZERO` says (seen on 10.11 and 11.8), and without a warning.
pub(crate) fn is_for(client: &Client, plan: &Plan, rows: &[Row]) -> bool {
    let zero = |place: usize| {
        rows.iter().any(|row| {
            let value = row.0.get(place).and_then(Cell::value);
            value.is_none_or(|v| v.decimal().as_deref() == Some("0"))
        })
    };
    let counted = plan.columns.iter().enumerate().filter(|(_, c)| c.counts);
    rows.len() >= WORTHWHILE
        && client.server.is_on("local_infile")
        && !plan.columns.is_empty()
        && !counted.map(|(place, _)| place).any(zero)
}

/// Writes a block of rows that are not there yet, in the open transaction.
///
/// # Errors
/// [`ErrorKind::Conflict`] where not every row came in as it is: the transaction must be rolled back, and the rows written by
/// statements.
pub(crate) async fn write(client: &mut Client, plan: &Plan, rows: &[Row]) -> Result<()> {
    let file = file(plan, rows)?;
    let chunks: Vec<std::io::Result<Bytes>> = packets(file).into_iter().map(Ok).collect();
    client
        .raw()
        .set_infile_handler(async move { Ok(futures_util::stream::iter(chunks).boxed()) });
    let what = match client.run(DOING, &statement(plan)).await {
        Ok(done) if done.affected == rows.len() as u64 && done.warnings == 0 => return Ok(()),
        Ok(done) => format!(
            "{DOING}: of {} rows in a file the server took {}, with {} warnings",
            rows.len(),
            done.affected,
            done.warnings
        ),
        // whatever the rows are refused for, the strict statements say it better; the setting may have changed too
        Err(e)
            if matches!(
                e.kind,
                ErrorKind::RowRefused | ErrorKind::UniqueViolation | ErrorKind::Setting
            ) =>
        {
            e.what
        }
        Err(e) => return Err(e.table(&plan.table)),
    };
    Err(plan.fault(ErrorKind::Conflict, "mysql.load", what))
}

fn packets(file: String) -> Vec<Bytes> {
    let mut rest = Bytes::from(file);
    let mut out = Vec::new();
    while !rest.is_empty() {
        let next = rest.split_to(rest.len().min(PACKET));
        out.push(next);
    }
    out
}

/// A column that a field is not put into as it is.
fn through_variable(kind: Kind) -> Option<&'static str> {
    match kind {
        // under the file's character set these would have to be text
        Kind::Bytes { .. } | Kind::Formed => Some("UNHEX"),
        Kind::Bit { .. } => Some("CONV"),
        _ => None,
    }
}

fn statement(plan: &Plan) -> String {
    let mut fields = Vec::with_capacity(plan.columns.len());
    let mut set = Vec::new();
    for (place, column) in plan.columns.iter().enumerate() {
        match through_variable(column.kind) {
            None => fields.push(column.quoted.clone()),
            Some(function) => {
                fields.push(format!("@_crossfade_{place}"));
                set.push(if function == "UNHEX" {
                    format!("{} = UNHEX(@_crossfade_{place})", column.quoted)
                } else {
                    format!(
                        "{} = CAST(CONV(@_crossfade_{place}, 2, 10) AS UNSIGNED)",
                        column.quoted
                    )
                });
            }
        }
    }
    let set = if set.is_empty() {
        String::new()
    } else {
        format!(" SET {}", set.join(", "))
    };
    format!(
        "LOAD DATA LOCAL INFILE 'crossfade' INTO TABLE {} CHARACTER SET utf8mb4 \
         FIELDS TERMINATED BY X'09' ESCAPED BY X'5C' LINES TERMINATED BY X'0A' ({}){set}",
        plan.quoted,
        fields.join(", ")
    )
}

/// The rows as lines: fields parted by tabs, NULL as `\N`.
fn file(plan: &Plan, rows: &[Row]) -> Result<String> {
    let mut out = String::new();
    let mut literal = String::new();
    for row in rows {
        for (place, cell) in plan.cells(row)?.enumerate() {
            if place > 0 {
                out.push('\t');
            }
            literal.clear();
            plan.write_cell(place, cell, &mut literal)?;
            if literal.starts_with(EXPRESSION) {
                let what = format!("{DOING}: a value is no literal");
                return Err(plan.fault(ErrorKind::Conflict, "mysql.load", what));
            }
            write_field(&literal, &mut out);
        }
        out.push('\n');
    }
    Ok(out)
}

/// A literal's value as a field.
fn write_field(literal: &str, out: &mut String) {
    if literal == "NULL" {
        out.push_str("\\N");
        return;
    }
    let digits = literal
        .strip_prefix("x'")
        .or_else(|| literal.strip_prefix("b'"))
        .and_then(|rest| rest.strip_suffix('\''));
    if let Some(digits) = digits {
        out.push_str(digits);
        return;
    }
    let Some(text) = literal
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    else {
        out.push_str(literal);
        return;
    };
    let mut quote = false;
    for c in text.chars() {
        // a doubled quote is one
        quote = c == '\'' && !quote;
        match c {
            '\'' if quote => {}
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_fields() {
        for (literal, field) in [
            ("NULL", "\\N"),
            ("'NULL'", "NULL"),
            ("'\\N'", "\\\\N"),
            ("''", ""),
            ("''''", "'"),
            ("'it''''s\t\\'", "it''s\\t\\\\"),
            ("-1.5e0", "-1.5e0"),
            ("x'00ff'", "00ff"),
            ("x''", ""),
            ("b'101'", "101"),
            ("'2024-01-01'", "2024-01-01"),
        ] {
            let mut out = String::new();
            write_field(literal, &mut out);
            assert_eq!(out, field, "{literal}");
        }
    }

    #[test]
    fn a_file_is_cut_and_stays_whole() {
        let file = "é".repeat(PACKET);
        let packets = packets(file.clone());
        assert!(packets.len() > 1);
        assert_eq!(packets.concat(), file.as_bytes());
        assert!(super::packets(String::new()).is_empty());
    }
}
