//! A side that was read again beside its certificate, for people.

use crossfade_certificate::Body;

use super::number::{count, of};
use super::text::visible;
use crate::commands::against::{Against, TableAgainst, word};

/// What one side has now, table by table, and what that means.
pub fn text(body: &Body, against: &Against) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "Read again: {}, as the {}",
            visible(&against.store),
            word(against.side)
        ),
    ];
    lines.extend(store(against));
    lines.extend(against.tables.iter().map(table));
    let position = visible(&body.position);
    let differ = against.tables.iter().filter(|t| !t.equal).count();
    lines.push(if differ == 0 {
        format!(
            "AS STATED: {} as at position {position}",
            of(against.tables.len() as u64, "table is", "tables are")
        )
    } else {
        format!(
            "NOT AS STATED: {}. Rows that were written after position {position} make such a difference, too: a certificate of a \
             database that is still written to says nothing about now. Where nobody has written since, rows were changed.",
            of(differ as u64, "table differs", "tables differ")
        )
    });
    lines.join("\n")
}

fn store(against: &Against) -> Option<String> {
    match against.same_store {
        Some(true) => None,
        Some(false) => Some("  ANOTHER STORE than the one that the certificate names".to_owned()),
        None => Some("  whether it is the store that the certificate names is not known: the role may not ask".to_owned()),
    }
}

fn table(table: &TableAgainst) -> String {
    let outcome = if table.equal { "equal" } else { "DIFFERENT" };
    let rows = of(table.rows, "row", "rows");
    let stated = if table.rows == table.stated_rows {
        String::new()
    } else {
        format!(", {} are stated", count(table.stated_rows))
    };
    format!("  {outcome:<9}  {}: {rows}{stated}", visible(&table.name))
}
