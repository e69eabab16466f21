//! Reads one side of a certificate again, whole, under its salt and by its mappings, and compares with what it states. Needs
//! neither the migration's file nor a capture nor any right but to read the tables.

use std::path::Path;
use std::sync::Arc;

use crossfade_certificate::{Body, Reading, Side, StoreIdentity};
use crossfade_model::{BucketSum, Digester, Table};
use crossfade_plan::{StoreUrl, store_url};
use crossfade_store::{
    ChunkRange, ErrorKind, Source, SourceIdentity, StoreError, SumPlace, Target,
};
use serde::Serialize;

use super::belongs;
use crate::failure::{Failure, USAGE};
use crate::stores;

/// What one side has now.
#[derive(Debug, Serialize)]
pub struct Against {
    /// The store that was read, without secrets.
    pub store: String,
    /// The side that it was compared with.
    pub side: Side,
    /// It is the store that the certificate names; `None` where its role may not ask who it is.
    pub same_store: Option<bool>,
    /// The tables, in the certificate's order.
    pub tables: Vec<TableAgainst>,
    /// All tables are as the certificate states.
    pub equal: bool,
}

/// What one table has now.
#[derive(Debug, Serialize)]
pub struct TableAgainst {
    /// Its name on this side.
    pub name: String,
    /// Rows now.
    pub rows: u64,
    /// Rows as stated.
    pub stated_rows: u64,
    /// Rows and sum are as stated.
    pub equal: bool,
}

/// Reads the store of a URL again. `named`: the side that it stands for, where the caller says.
///
/// # Errors
/// A URL that cannot be read; a store that is neither side's; one that cannot be read to its end.
pub async fn read(body: &Body, url: &str, named: Option<Side>) -> Result<Against, Failure> {
    let url = parsed(url)?;
    let here = Path::new(".");
    let source = stores::source(&url, here)?;
    let identity = who(source.identity().await)?;
    let side = match named {
        Some(side) => side,
        None => side_of(body, source.as_ref(), identity.as_ref())?,
    };
    let stated = stated(body, side);
    if stated.engine != source.engine() {
        return Err(Failure::new(
            USAGE,
            "certificate.engine",
            format!(
                "the certificate's {} is of {}, and {} of {}",
                word(side),
                stated.engine,
                source.label(),
                source.engine()
            ),
        )
        .fix("name a store of the same kind, or the other side with --side"));
    }
    let readings = body.readings(side)?;
    let digester = Digester::new(&body.salt_bytes()?);
    let sums = match side {
        Side::Source => source_sums(&source, &readings, &digester).await?,
        Side::Target => {
            let target = stores::target(&url, here)?;
            target_sums(&target, &body.migration, &readings, &digester).await?
        }
    };
    let tables: Vec<TableAgainst> = readings
        .into_iter()
        .zip(sums)
        .map(|(reading, sum)| TableAgainst {
            name: reading.name,
            rows: sum.rows,
            stated_rows: reading.sum.rows,
            equal: sum == reading.sum,
        })
        .collect();
    Ok(Against {
        store: source.label().to_owned(),
        side,
        same_store: identity.map(|i| is_named(stated, source.as_ref(), Some(&i))),
        equal: tables.iter().all(|t| t.equal),
        tables,
    })
}

/// A side's word.
pub fn word(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Target => "target",
    }
}

fn parsed(text: &str) -> Result<StoreUrl, Failure> {
    let refused = |what: String| {
        Failure::new(USAGE, "usage.url", format!("--against: {what}"))
            .fix("write `postgres://USER@HOST/DATABASE` or `sqlite:PATH`; `${VARIABLE}` stands for a variable's value")
    };
    let expanded = store_url::expand(text, &|name| std::env::var(name).ok());
    let expanded = expanded.map_err(|(_, what)| refused(what))?;
    StoreUrl::parse(&expanded).map_err(|problem| refused(problem.what))
}

/// Who a store is; `None` where the role may not ask: reading the tables needs no such right.
fn who(asked: Result<SourceIdentity, StoreError>) -> Result<Option<SourceIdentity>, Failure> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind == ErrorKind::Permission => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn stated(body: &Body, side: Side) -> &StoreIdentity {
    match side {
        Side::Source => &body.source,
        Side::Target => &body.target,
    }
}

/// Whether a store is the one that a certificate names. A file loses its identity with its capture; then its name counts.
fn is_named(stated: &StoreIdentity, store: &dyn Source, found: Option<&SourceIdentity>) -> bool {
    if stated.engine != store.engine() {
        return false;
    }
    let same = found.is_some_and(|found| found.identity == stated.identity);
    let same_file = stated.engine == crossfade_sqlite::ENGINE
        && belongs::last_part(store.label()) == belongs::last_part(&stated.label);
    let same_place = found.is_none() && store.label() == stated.label;
    same || same_file || same_place
}

/// The side that a store is, where it can only be one.
fn side_of(
    body: &Body,
    store: &dyn Source,
    found: Option<&SourceIdentity>,
) -> Result<Side, Failure> {
    let is = |side| is_named(stated(body, side), store, found);
    match (is(Side::Source), is(Side::Target)) {
        (true, false) => Ok(Side::Source),
        (false, true) => Ok(Side::Target),
        (both, _) => Err(Failure::new(
            USAGE,
            "certificate.side",
            format!(
                "{} is {} store of the certificate, which names the source {} and the target {}",
                store.label(),
                if both { "either" } else { "neither" },
                body.source.label,
                body.target.label
            ),
        )
        .fix("say with --side which one it stands for: source or target")),
    }
}

async fn source_sums(
    source: &Arc<dyn Source>,
    readings: &[Reading],
    digester: &Digester,
) -> Result<Vec<BucketSum>, Failure> {
    let tables: Vec<&Table> = readings.iter().map(|r| r.mapping.source_table()).collect();
    let mut snapshot = source.open_snapshot(&tables).await?;
    let mut sums = Vec::with_capacity(readings.len());
    for reading in readings {
        let (all, place) = (ChunkRange::All, SumPlace::Program);
        let sum = snapshot.sum(&reading.mapping, &all, digester, place).await;
        sums.push(sum?.total());
    }
    snapshot.close().await?;
    Ok(sums)
}

async fn target_sums(
    target: &Arc<dyn Target>,
    migration: &str,
    readings: &[Reading],
    digester: &Digester,
) -> Result<Vec<BucketSum>, Failure> {
    let mut snapshot = target.open_reader(migration).await?;
    let mut sums = Vec::with_capacity(readings.len());
    for reading in readings {
        let (all, place) = (ChunkRange::All, SumPlace::Program);
        let sum = snapshot.sum(&reading.mapping, &all, digester, place).await;
        sums.push(sum?.total());
    }
    snapshot.close().await?;
    Ok(sums)
}
