//! What the armed fence costs a writing statement: the same statement, each in a transaction of its own, timed by the server on two
//! temporary tables of which one is armed. What is temporary is in no log and nobody else's.

use std::time::Duration;

use crossfade_model::TableName;
use crossfade_store::Result;

use super::{register, sql};
use crate::connect::Client;
use crate::names::qualified;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Statements that are timed together.
const STATEMENTS: u32 = 200;
/// So often on each table, in turn: the medians are compared.
const ROUNDS: usize = 5;
/// Where somebody holds the latch just now the measure is given up.
const PATIENCE: &str = "5s";

/// Measures; see [`crossfade_store::Fence::fence_cost`].
///
/// # Errors
/// The server's: no right to make temporary tables, somebody who holds the latch.
pub(super) async fn measure(store: &PostgresStore, migration: &str) -> Result<Option<Duration>> {
    // not kept: the tables go with the session
    let client = store.connect_anew(Purpose::Fence).await?;
    register::require(&client, migration).await?;
    let (bare, armed) = (table("crossfade_bare"), table("crossfade_armed"));
    let make = |table: &TableName| {
        let name = qualified(table);
        format!(
            "CREATE TEMPORARY TABLE {name} (one boolean PRIMARY KEY, writes bigint NOT NULL);
             INSERT INTO {name} VALUES (true, 0)"
        )
    };
    let setup = format!(
        "SET statement_timeout = '{PATIENCE}'; {}; {}; {}",
        make(&bare),
        make(&armed),
        sql::arm(&armed, migration, false)
    );
    client.batch("measuring the fence", &setup).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(timed(&client, &bare).await?);
        with.push(timed(&client, &armed).await?);
    }
    let cost = median(with).saturating_sub(median(without)) / STATEMENTS;
    Ok(Some(cost))
}

fn table(name: &str) -> TableName {
    TableName {
        schema: Some("pg_temp".to_owned()),
        name: name.to_owned(),
    }
}

async fn timed(client: &Client, table: &TableName) -> Result<Duration> {
    let doing = "measuring the fence";
    let sql = format!(
        "DO $cost$
         DECLARE
             begun timestamptz := clock_timestamp();
         BEGIN
             FOR i IN 1..{STATEMENTS} LOOP
                 UPDATE {} SET writes = writes + 1;
                 COMMIT;
             END LOOP;
             PERFORM set_config('crossfade.took', (extract(epoch FROM clock_timestamp() - begun) * 1000000)::bigint::text, false);
         END $cost$",
        qualified(table)
    );
    client.batch(doing, &sql).await?;
    let row = client
        .query_one(
            doing,
            "SELECT current_setting('crossfade.took')::bigint",
            &[],
        )
        .await?;
    // a clock that was set back says nothing: the median is another round's
    Ok(Duration::from_micros(
        u64::try_from(row.get::<_, i64>(0)).unwrap_or(0),
    ))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
