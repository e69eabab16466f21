//! Sequences are no part of the log: they are raised to the source's values, never set back.

use crossfade_model::{Sequence, TableMapping};
use crossfade_store::{ErrorKind, HeldSequence, Result, StoreError};

use crate::connect::Client;
use crate::describe::sequences as described;
use crate::names::{qualified, quote_literal};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Raises the target's sequences to at least these values (for a descending one: lowers them).
///
/// # Errors
/// The server's.
pub async fn raise_sequences(
    store: &PostgresStore,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<()> {
    raise_all(store, sequences, tables, "0").await
}

/// As [`raise_sequences`], with room for what clients may have taken and not used: a block for each of as many connections as the server
/// allows (an application that takes blocks by the increment counts as one), at most a hundredth of what the sequence has left. From
/// the same values always the same.
///
/// # Errors
/// The server's.
pub async fn raise_for_switch(
    store: &PostgresStore,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<()> {
    raise_all(store, sequences, tables, HEADROOM).await
}

/// In the terms of [`raise`]: how far beyond the other store's value.
const HEADROOM: &str = "greatest(0, least(
     abs(q.seqincrement::numeric) * least(q.seqcache::numeric * least(current_setting('max_connections')::numeric, 1000),
                                          greatest(q.seqcache::numeric, 10000)),
     trunc(CASE WHEN q.seqincrement > 0 THEN q.seqmax::numeric - $1 ELSE $1 - q.seqmin::numeric END / 100)))";

async fn raise_all(
    store: &PostgresStore,
    sequences: &[Sequence],
    tables: &[TableMapping],
    headroom: &str,
) -> Result<()> {
    let client = store.connect(Purpose::Build).await?;
    for sequence in sequences {
        let Some(value) = sequence.last_value else {
            continue;
        };
        // a table that is split by its rows numbers them in each of its parts
        for place in places(sequence, tables) {
            if let Some((name, _)) = find(&client, sequence, place).await? {
                raise(&client, &name, value, headroom).await?;
            }
        }
    }
    store.keep(client);
    Ok(())
}

/// What is here in the place of each of these sequences.
///
/// # Errors
/// The server's.
pub async fn sequence_states(
    store: &PostgresStore,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<Vec<HeldSequence>> {
    let client = store.connect(Purpose::Build).await?;
    let mut found = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let mut of_one = Vec::new();
        for place in places(sequence, tables) {
            of_one.push((place, find(&client, sequence, place).await?));
        }
        found.push(of_one);
    }
    let all = described::find(&client).await?;
    store.keep(client);
    let held = sequences.iter().zip(found).map(|(sequence, found)| {
        HeldSequence::furthest_behind(found.into_iter().map(|(place, held)| {
            let held = held.and_then(|(_, oid)| all.iter().find(|f| f.oid == oid));
            match held {
                Some(held) => HeldSequence::Here(held.state),
                None if is_due(sequence, place) => HeldSequence::Gone,
                None => HeldSequence::NotCounted,
            }
        }))
    });
    Ok(held.collect())
}

/// A mapped column, of the target.
type Place<'a> = Option<(&'a TableMapping, &'a str)>;

/// The columns that a sequence's column is mapped to; of one that no column owns one place without a column.
fn places<'a>(sequence: &Sequence, tables: &'a [TableMapping]) -> Vec<Place<'a>> {
    let Some((table, column)) = &sequence.owner else {
        return vec![None];
    };
    let of_table = tables.iter().filter(|m| &m.source.name == table);
    let mapped = of_table.filter_map(|mapping| {
        let mapped = mapping.columns.iter().find(|c| &c.source == column)?;
        Some(Some((mapping, mapped.target.as_str())))
    });
    mapped.collect()
}

/// Whether the migration makes it here, or numbers the mapped column.
fn is_due(sequence: &Sequence, place: Place<'_>) -> bool {
    let Some((mapping, column)) = place else {
        return !sequence.definition.is_empty();
    };
    let mapped = mapping.target.columns.iter().find(|c| c.name == column);
    mapped.is_some_and(|c| c.identity.is_some() || !sequence.definition.is_empty())
}

/// The target's sequence, quoted, and its OID: that of the mapped column which the source's serves, else the one of its name.
async fn find(
    client: &Client,
    sequence: &Sequence,
    place: Place<'_>,
) -> Result<Option<(String, u32)>> {
    let column = place.map(|(mapping, column)| (qualified(&mapping.target.name), column));
    // none, not an empty one: to_regclass of servers before 16 refuses what is no name
    let (table, column) = column.unzip();
    let row = client
        .query_one(
            "looking for a sequence",
            "SELECT s.name, s.name::regclass::oid FROM (SELECT coalesce(
                 CASE WHEN to_regclass($1::text) IS NOT NULL AND EXISTS (
                          SELECT FROM pg_attribute WHERE attrelid = to_regclass($1::text) AND attname = $2::text
                          AND NOT attisdropped)
                      THEN pg_get_serial_sequence($1::text, $2::text) END,
                 (SELECT $3::text FROM pg_class WHERE oid = to_regclass($3::text) AND relkind = 'S')) AS name) s",
            &[&table, &column, &qualified(&sequence.name)],
        )
        .await?;
    let name: Option<String> = row.get(0);
    let oid: Option<u32> = row.get(1);
    Ok(name.zip(oid))
}

async fn raise(client: &Client, name: &str, value: i64, headroom: &str) -> Result<()> {
    // `last_value` of a sequence that was never called is the next value, else the last one
    let sql = format!(
        "SELECT setval({}::regclass, s.to, true) FROM {name} v
         CROSS JOIN (SELECT q.seqincrement > 0 AS up,
                            ($1::int8 + CASE WHEN q.seqincrement > 0 THEN 1 ELSE -1 END * {headroom})::int8 AS to
                     FROM pg_sequence q WHERE q.seqrelid = {}::regclass) s
         WHERE CASE WHEN s.up THEN v.last_value < s.to OR v.last_value = s.to AND NOT v.is_called
                    ELSE v.last_value > s.to OR v.last_value = s.to AND NOT v.is_called END",
        quote_literal(name),
        quote_literal(name)
    );
    let doing = format!("raising sequence {name}");
    let raised = client.query_opt(&doing, &sql, &[&value]).await;
    raised.map(drop).map_err(|e| match e.kind {
        // no row is refused here: the source's value is beyond the target's bounds
        ErrorKind::RowRefused => StoreError {
            kind: ErrorKind::SchemaMismatch,
            code: "postgres.sequence_bounds",
            what: format!("sequence {name} ends before the source's value"),
            ..e
        }
        .fix(format!(
            "Give it room: ALTER SEQUENCE {name} AS bigint NO MAXVALUE NO MINVALUE;"
        )),
        _ => e,
    })
}
