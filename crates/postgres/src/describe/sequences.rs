//! Sequences and their present values.

use crossfade_model::{Sequence, TableName};
use crossfade_store::{Result, SequenceState};
use tokio_postgres::Row;

use super::sql;
use crate::connect::Client;
use crate::names::qualified;

/// A sequence with how it goes on.
#[derive(Debug, Clone)]
pub struct Found {
    /// It, with its present value.
    pub sequence: Sequence,
    /// How it stands and goes on.
    pub state: SequenceState,
    /// What the server calls it inside.
    pub oid: u32,
}

/// Reads all sequences of users. A value that the role may not read is `None`; the findings say so.
pub async fn read(client: &Client) -> Result<Vec<Sequence>> {
    let found = find(client).await?;
    Ok(found.into_iter().map(|f| f.sequence).collect())
}

/// The same, with how they go on.
pub async fn find(client: &Client) -> Result<Vec<Found>> {
    let doing = "reading the sequences";
    let rows = client.query(doing, &sql::sequences(), &[]).await?;
    let sequences = values(client, doing, &rows).await?;
    let both = rows.iter().zip(sequences);
    let found = both.map(|(row, sequence)| Found {
        state: SequenceState {
            value: sequence.last_value,
            first: Some(row.get("start")),
            increment: Some(row.get("increment")),
            cycles: row.get("cycle"),
        },
        oid: row.get("oid"),
        sequence,
    });
    Ok(found.collect())
}

async fn values(client: &Client, doing: &str, rows: &[Row]) -> Result<Vec<Sequence>> {
    let mut sequences: Vec<Sequence> = rows.iter().map(sequence).collect();
    let restarted: Vec<(usize, String)> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.get("readable") && row.get::<_, Option<i64>>("last_value").is_none())
        .map(|(at, _)| (at, qualified(&sequences[at].name)))
        .collect();
    // a sequence that was set but not used since has its next value in its row alone
    for part in restarted.chunks(200) {
        let queries: Vec<String> = part
            .iter()
            .map(|(at, name)| {
                let start: i64 = rows[*at].get("start");
                let increment: i64 = rows[*at].get("increment");
                format!(
                    "SELECT {at}::int8, (last_value::numeric - {increment})::int8 FROM {name} \
                     WHERE NOT is_called AND last_value <> {start} \
                     AND last_value::numeric - {increment} BETWEEN {} AND {}",
                    i64::MIN,
                    i64::MAX
                )
            })
            .collect();
        for row in client
            .query(doing, &queries.join(" UNION ALL "), &[])
            .await?
        {
            let at: i64 = row.get(0);
            if let Some(sequence) = usize::try_from(at)
                .ok()
                .and_then(|at| sequences.get_mut(at))
            {
                sequence.last_value = Some(row.get(1));
            }
        }
    }
    Ok(sequences)
}

fn sequence(row: &Row) -> Sequence {
    let name = TableName {
        schema: Some(row.get("schema")),
        name: row.get("name"),
    };
    let is_identity: bool = row.get("is_identity");
    let definition = if is_identity {
        String::new()
    } else {
        let type_: String = row.get("type");
        let number = |column: &str| row.get::<_, i64>(column);
        format!(
            "CREATE SEQUENCE {} AS {type_} INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {}CYCLE",
            qualified(&name),
            number("increment"),
            number("min"),
            number("max"),
            number("start"),
            number("cache"),
            if row.get("cycle") { "" } else { "NO " },
        )
    };
    let owner_table: Option<String> = row.get("owner_table");
    Sequence {
        name,
        definition,
        owner: owner_table.map(|table| {
            (
                TableName {
                    schema: row.get("owner_schema"),
                    name: table,
                },
                row.get("owner_column"),
            )
        }),
        last_value: row.get("last_value"),
    }
}
