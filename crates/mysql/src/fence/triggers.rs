//! The fence's triggers: every write of an application locks the register's row shared, and reads what it says.
//!
//! The row's lock is the latch: who has it exclusively holds writers off, and who gets it after the register was changed reads the new
//! one, for a locking read reads what is newest whatever snapshot the transaction has (MySQL documentation, "Locking Reads"). A register that is
//! gone refuses too. Foreign keys' cascades, TRUNCATE and definitions fire no triggers; a replica's applier neither.

use crossfade_model::reverse_lane;
use crossfade_store::Result;
use sha2::{Digest as _, Sha256};

use crate::connect::{Client, Texts};
use crate::guard;
use crate::names::{OWN_PREFIX, literal, quote};

use super::register::{self, REGISTER};

const EVENTS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

/// The server's number for a trigger whose name is taken.
const EXISTS: &str = "1359 HY000";

/// A trigger's name is its database's, and has 64 characters: both names in it as a digest.
fn name(migration: &str, event: &str, table: &str) -> String {
    let digest = Sha256::digest(format!("{migration}\0{table}"));
    format!(
        "{OWN_PREFIX}fence_{}_{}",
        event.to_ascii_lowercase(),
        crossfade_model::hex::encode(&digest[..10])
    )
}

/// What each of a table's triggers does.
fn body(migration: &str, table: &str) -> String {
    let message = |text: String| -> String {
        // at most 128 characters (MySQL documentation, "SIGNAL Statement")
        literal(&text.chars().take(128).collect::<String>())
    };
    let given = message(format!(
        "crossfade: table {table} has moved to its other store; write there (migration {migration})"
    ));
    let fenced = message(format!(
        "crossfade: table {table} takes no writes here; see crossfade status (migration {migration})"
    ));
    // the number and state of a read-only transaction
    let refuse = |message: &str| {
        format!("SIGNAL SQLSTATE '25006' SET MYSQL_ERRNO = 1792, MESSAGE_TEXT = {message};")
    };
    format!(
        "BEGIN DECLARE said VARCHAR(16) DEFAULT NULL; \
         IF NOT ({}) THEN \
         SELECT mode INTO said FROM {REGISTER} WHERE migration = {} LOCK IN SHARE MODE; \
         IF said <=> 'given' THEN {} END IF; \
         IF NOT (said <=> 'open') THEN {} END IF; END IF; END",
        guard::passes(&[migration, &reverse_lane(migration)]),
        literal(migration),
        refuse(&given),
        refuse(&fenced)
    )
}

fn statement(migration: &str, event: &str, table: &str) -> String {
    format!(
        "CREATE TRIGGER {} BEFORE {event} ON {} FOR EACH ROW {}",
        quote(&name(migration, event, table)),
        quote(table),
        body(migration, table)
    )
}

/// Triggers of the fence, of one table or of all: their names, what they do, and whose they are. Asked for by their tables' schema: by their
/// own, MariaDB looks through every database (MariaDB documentation, "Information Schema TRIGGERS Table").
async fn present(client: &mut Client, table: Option<&str>) -> Result<Vec<Texts>> {
    let of_table = table.map_or_else(String::new, |table| {
        format!(" AND EVENT_OBJECT_TABLE = {}", literal(table))
    });
    client
        .texts(
            "looking for the fence",
            &format!(
                "SELECT TRIGGER_NAME, ACTION_STATEMENT, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS
                 WHERE EVENT_OBJECT_SCHEMA = DATABASE(){of_table} AND TRIGGER_NAME LIKE '{}fence|_%' ESCAPE '|'",
                OWN_PREFIX.replace('_', "|_")
            ),
        )
        .await
}

/// The events of a table that have the trigger as it was made, and names of ours that differ.
fn judged(present: &[Texts], migration: &str, table: &str) -> (Vec<&'static str>, Vec<String>) {
    let wanted = body(migration, table);
    let (mut whole, mut other) = (Vec::new(), Vec::new());
    for event in EVENTS {
        let name = name(migration, event, table);
        let Some(row) = present.iter().find(|row| row.text(0) == name) else {
            continue;
        };
        if row.text(1) == wanted && row.text(2).eq_ignore_ascii_case(table) {
            whole.push(event);
        } else {
            other.push(name);
        }
    }
    (whole, other)
}

/// Whether the table has the whole fence as it was made.
pub(crate) async fn is_armed(client: &mut Client, migration: &str, table: &str) -> Result<bool> {
    let present = present(client, Some(table)).await?;
    Ok(judged(&present, migration, table).0.len() == EVENTS.len())
}

/// Puts the fence into a table, then takes the guards of its filling off. May wait for the table's lock.
pub(crate) async fn arm(client: &mut Client, migration: &str, table: &str) -> Result<()> {
    let doing = "fencing a table";
    register::remember(client, migration, table).await?;
    let (whole, other) = judged(&present(client, Some(table)).await?, migration, table);
    for name in other {
        drop_trigger(client, doing, &name).await?;
    }
    for event in EVENTS.iter().filter(|event| !whole.contains(event)) {
        let statement = statement(migration, event, table);
        match client.run(doing, &statement).await {
            // it went with the table that had this name before
            Err(e) if e.server_code.as_deref() == Some(EXISTS) => {
                drop_trigger(client, doing, &name(migration, event, table)).await?;
                client.run(doing, &statement).await?;
            }
            made => drop(made?),
        }
    }
    guard::open(client, table).await?;
    Ok(())
}

async fn drop_trigger(client: &mut Client, doing: &str, name: &str) -> Result<()> {
    let statement = format!("DROP TRIGGER IF EXISTS {}", quote(name));
    client.run(doing, &statement).await?;
    Ok(())
}

/// Makes a table's triggers, where there are none.
pub(super) async fn put(client: &mut Client, migration: &str, table: &str) -> Result<()> {
    for event in EVENTS {
        client
            .run("fencing a table", &statement(migration, event, table))
            .await?;
    }
    Ok(())
}

/// Takes the fence off a table; returns the triggers that were there.
pub(crate) async fn disarm(
    client: &mut Client,
    migration: &str,
    table: &str,
) -> Result<Vec<String>> {
    // of other tables too: a trigger goes with a table that is renamed
    let (whole, mut names) = judged(&present(client, None).await?, migration, table);
    names.extend(whole.iter().map(|event| name(migration, event, table)));
    for name in &names {
        drop_trigger(client, "taking the fence off", name).await?;
    }
    register::forget(client, migration, table).await?;
    Ok(names)
}

/// The fence's triggers, as found now.
pub(crate) async fn found(client: &mut Client, migration: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let present = present(client, None).await?;
    for table in register::fenced(client, migration).await? {
        let (whole, other) = judged(&present, migration, &table);
        out.extend(whole.iter().map(|event| name(migration, event, &table)));
        out.extend(other);
    }
    Ok(out)
}

/// What is missing of the fence of these tables, in words.
pub(super) async fn missing(
    client: &mut Client,
    migration: &str,
    fenced: &[String],
) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let present = present(client, None).await?;
    for table in fenced {
        if judged(&present, migration, table).0.len() < EVENTS.len() {
            out.push(format!(
                "triggers of table {table} that refuse writes are gone, or were altered"
            ));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_told_apart() {
        let long = "t".repeat(64);
        for event in EVENTS {
            assert!(name("m", event, &long).len() <= 64);
        }
        assert_ne!(name("a", "INSERT", "b"), name("b", "INSERT", "a"));
        assert_ne!(name("a", "INSERT", "b"), name("a", "UPDATE", "b"));
    }
}
