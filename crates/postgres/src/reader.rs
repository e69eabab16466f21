//! Reading a target's rows at the position of one snapshot.

use async_trait::async_trait;
use crossfade_model::{BucketSums, Digester, Position, Row, TableMapping};
use crossfade_store::pace::Pace;
use crossfade_store::slice;
use crossfade_store::{
    Aggregates, ChunkRange, ErrorKind, Query, ReadForm, Result, RowStream, StoreError, SumPlace,
    TargetSnapshot,
};

use crate::aggregates;
use crate::by_key;
use crate::connect::Client;
use crate::copy_out::CopyOut;
use crate::names::{OWN_SCHEMA, ident_list, qualified};
use crate::query;
use crate::range;
use crate::session::Purpose;
use crate::store::PostgresStore;
use crate::sums::raw::RawReads;
use crate::sums::server::Forms;
use crate::sums::{self, Summand};

struct PostgresReader {
    client: Client,
    raw: RawReads,
    label: String,
    position: Option<Position>,
}

/// Opens a snapshot of the target; see [`crossfade_store::Target::open_reader`].
///
/// # Errors
/// The connection's.
pub async fn open_reader(
    store: &PostgresStore,
    migration: &str,
) -> Result<Box<dyn TargetSnapshot>> {
    let client = store.connect(Purpose::Read).await?;
    client
        .batch(
            "opening a snapshot",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .await?;
    // the snapshot opens with the first of these queries; the rows read later are those of this checkpoint
    let mut position = None;
    if may_read_checkpoint(&client).await? {
        let sql = format!("SELECT checkpoint FROM {OWN_SCHEMA}.run WHERE migration = $1");
        position = client
            .query_opt("reading the checkpoint", &sql, &[&migration])
            .await?
            .and_then(|row| row.get::<_, Option<i64>>(0))
            .and_then(|at| u64::try_from(at).ok())
            .map(Position);
    }
    Ok(Box::new(PostgresReader {
        client,
        raw: RawReads::new(store, Purpose::Read),
        label: store.label().to_owned(),
        position,
    }))
}

/// Whether the checkpoint's table is there for this role: to read rows alone, nobody needs a right to it. Asked of the
/// catalog, since a name in a schema that a role may not use is an error.
async fn may_read_checkpoint(client: &Client) -> Result<bool> {
    let row = client
        .query_one(
            "looking for crossfade's tables",
            "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                            WHERE n.nspname = $1 AND c.relname = 'run'
                              AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))",
            &[&OWN_SCHEMA],
        )
        .await?;
    Ok(row.get(0))
}

impl PostgresReader {
    /// A range's rows as a query reads them: what follows FROM.
    fn queried(&self, mapping: &TableMapping, range: &ChunkRange) -> Result<String> {
        let own = slice::condition(mapping, &self.label, &range::Words)?;
        if *range == ChunkRange::All {
            return Ok(match own {
                None => relation(mapping),
                Some(own) => format!("{} WHERE {own}", relation(mapping)),
            });
        }
        let condition = range::condition(&range::target_key(mapping), range).map_err(|e| {
            let code = "postgres.range";
            StoreError::new(ErrorKind::Internal, code, &self.label, e.to_string())
                .table(&mapping.target.name)
        })?;
        let own = own.map_or_else(String::new, |own| format!(" AND {own}"));
        Ok(format!("{} WHERE {condition}{own}", relation(mapping)))
    }

    /// What COPY reads for a range.
    fn copied(&self, mapping: &TableMapping, range: &ChunkRange) -> Result<String> {
        let columns = ident_list(mapping.columns.iter().map(|c| c.target.as_str()));
        let plain = mapping.target.partition_by.is_none() && mapping.slice.is_none();
        if *range == ChunkRange::All && plain {
            let table = qualified(&mapping.target.name);
            return Ok(format!("{table} ({columns})"));
        }
        let rows = self.queried(mapping, range)?;
        Ok(format!("(SELECT {columns} FROM {rows})"))
    }

    fn forms(&self, mapping: &TableMapping) -> Option<Forms> {
        let columns = mapping.columns.iter();
        let columns = columns.map(|c| range::target_column(&mapping.target, &c.target));
        Forms::new(mapping, columns, self.client.version())
    }
}

#[async_trait]
impl TargetSnapshot for PostgresReader {
    fn position(&self) -> Option<Position> {
        self.position
    }

    async fn read<'a>(
        &'a mut self,
        mapping: &'a TableMapping,
        range: &'a ChunkRange,
    ) -> Result<Box<dyn RowStream + 'a>> {
        let source = self.copied(mapping, range)?;
        let width = mapping.columns.len();
        let rows = CopyOut::begin(&self.client, &self.label, &source, &ReadForm::Rows, width)
            .await
            .map_err(|e| e.table(&mapping.target.name))?;
        Ok(Box::new(rows))
    }

    async fn read_keys(&mut self, mapping: &TableMapping, keys: &[Row]) -> Result<Vec<Row>> {
        let own = slice::condition(mapping, &self.label, &range::Words)?;
        let relation = match own {
            None => relation(mapping),
            Some(own) => format!("(SELECT * FROM {} WHERE {own})", relation(mapping)),
        };
        rows_in(&self.client, &self.label, mapping, relation, keys).await
    }

    fn sum_places(&self, mapping: &TableMapping) -> Vec<SumPlace> {
        sums::places(self.forms(mapping).as_ref())
    }

    async fn sum(
        &mut self,
        mapping: &TableMapping,
        range: &ChunkRange,
        digester: &Digester,
        place: SumPlace,
    ) -> Result<BucketSums> {
        let summand = Summand {
            mapping,
            copied: self.copied(mapping, range)?,
            queried: self.queried(mapping, range)?,
            forms: self.forms(mapping),
        };
        summand
            .sum(&self.client, &mut self.raw, &self.label, digester, place)
            .await
    }

    fn set_pace(&mut self, pace: Pace) {
        self.raw.set_pace(pace);
    }

    async fn aggregates(&mut self, mapping: &TableMapping) -> Result<Aggregates> {
        let columns: Vec<_> = mapping
            .columns
            .iter()
            .filter_map(|c| range::target_column(&mapping.target, &c.target))
            .collect();
        aggregates::measure(
            &self.client,
            &self.label,
            mapping,
            &self.queried(mapping, &ChunkRange::All)?,
            &columns,
        )
        .await
        .map_err(|e| e.table(&mapping.target.name))
    }

    async fn query(&mut self, sql: &str) -> Result<Query<'_>> {
        query::run(&self.client, &self.label, sql).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The target's rows of these keys, as the session's transaction sees them, also those that are other mappings'.
pub async fn rows_of(
    client: &Client,
    label: &str,
    mapping: &TableMapping,
    keys: &[Row],
) -> Result<Vec<Row>> {
    rows_in(client, label, mapping, relation(mapping), keys).await
}

async fn rows_in(
    client: &Client,
    label: &str,
    mapping: &TableMapping,
    relation: String,
    keys: &[Row],
) -> Result<Vec<Row>> {
    let columns: Vec<&str> = mapping.columns.iter().map(|c| c.target.as_str()).collect();
    let target =
        |at: usize| range::target_column(&mapping.target, &mapping.columns.get(at)?.target);
    let selection = by_key::Selection {
        table: &mapping.target.name,
        relation,
        columns: &columns,
        key: by_key::parts(mapping, None, target),
    };
    by_key::read(client, label, &selection, keys).await
}

/// The target table as it is read: with its partitions, without tables that inherit from it.
fn relation(mapping: &TableMapping) -> String {
    let table = qualified(&mapping.target.name);
    match mapping.target.partition_by {
        Some(_) => table,
        None => format!("ONLY {table}"),
    }
}
