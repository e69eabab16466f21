//! Triggers of applications on tables that crossfade writes.
//!
//! The server has no session without triggers: they fire for crossfade's rows too, which have come from where triggers have fired already. What they
//! write can hit rows that nobody reads again. Only one that passes over crossfade's sessions itself may stay: see [`PASSES_OVER`].

use crossfade_model::{Finding, TableName};
use crossfade_store::Result;

use super::target::PLACE;
use crate::connect::Client;
use crate::guard;
use crate::names::OWN_PREFIX;

/// How a trigger begins that leaves crossfade's rows alone; the label is any.
const PASSES_OVER: &str =
    "own: BEGIN IF @_crossfade_migration IS NOT NULL THEN LEAVE own; END IF; … END";

/// Looks for triggers that fire for rows that are written to these tables.
pub(crate) async fn acting(client: &mut Client, tables: &[&TableName]) -> Result<Vec<Finding>> {
    // by the tables' schema: by the triggers' own, MariaDB looks through every database
    let rows = client
        .texts(
            "looking for triggers",
            &format!(
                "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS
                 WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND LEFT(TRIGGER_NAME, {}) <> '{OWN_PREFIX}'
                 ORDER BY EVENT_OBJECT_TABLE, TRIGGER_NAME",
                OWN_PREFIX.len()
            ),
        )
        .await?;
    let mut out = Vec::new();
    for table in tables {
        // names that differ in case only may be one table's
        let lower = table.name.to_lowercase();
        let names: Vec<&str> = rows
            .iter()
            .filter(|row| row.text(0).to_lowercase() == lower && !passes_over(row.text(2)))
            .map(|row| row.text(1))
            .collect();
        if !names.is_empty() {
            out.push(
                Finding::blocks(
                    "mysql.target_triggers",
                    PLACE,
                    format!(
                        "triggers would fire for the rows that crossfade writes: {}",
                        names.join(", ")
                    ),
                )
                .table(&table.name)
                .fix(format!(
                    "Drop them, and make them again when crossfade writes here no more; or let each pass over crossfade's sessions by beginning so: {PASSES_OVER}"
                )),
            );
        }
    }
    Ok(out)
}

/// Whether a trigger's body ends before it does anything in a session of crossfade's. It must begin exactly so: what stands before, or a condition
/// that is put otherwise, is not understood here.
fn passes_over(body: &str) -> bool {
    let Some((label, rest)) = body.split_once(':') else {
        return false;
    };
    let label = label.trim().trim_matches('`');
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if label.is_empty() || !label.chars().all(is_name) {
        return false;
    }
    let spaced = rest.replace(';', " ; ");
    let mut words = spaced.split_whitespace();
    let wanted = [
        "BEGIN",
        "IF",
        guard::VARIABLE,
        "IS",
        "NOT",
        "NULL",
        "THEN",
        "LEAVE",
        label,
        ";",
        "END",
        "IF",
        ";",
    ];
    wanted.iter().all(|wanted| {
        let word = words.next().unwrap_or_default();
        word.trim_matches('`').eq_ignore_ascii_case(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_passes_over_crossfade_only_by_leaving_at_once() {
        for body in [
            "own: BEGIN IF @_crossfade_migration IS NOT NULL THEN LEAVE own; END IF; DELETE FROM items; END",
            "`a b`: BEGIN END",
            "`q_1` :begin\n if @_CROSSFADE_migration is not null then leave q_1;end if;\n begin declare n int; end; end",
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(passes_over(body.1), body.0 != 1, "{}", body.1);
        }
        for body in [
            "DELETE FROM items WHERE order_id = OLD.id",
            "BEGIN IF @_crossfade_migration IS NULL THEN DELETE FROM items; END IF; END",
            "own: BEGIN DELETE FROM items; IF @_crossfade_migration IS NOT NULL THEN LEAVE own; END IF; END",
            "own: BEGIN IF @_crossfade_migration IS NOT NULL THEN LEAVE other; END IF; END",
            "own: BEGIN IF @_crossfade_migration IS NOT NULL AND NEW.a THEN LEAVE own; END IF; END",
            "own: BEGIN /* IF @_crossfade_migration IS NOT NULL THEN LEAVE own; END IF; */ END",
            "SET @a := 1",
            "own: BEGIN",
            "",
        ] {
            assert!(!passes_over(body), "{body}");
        }
    }
}
