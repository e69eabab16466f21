//! The change stream: opens the slot, and turns what comes into events.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{Position, StreamEvent};
use crossfade_store::{CaptureSpec, ChangeStream, ErrorKind, Result, StoreError};

use super::assemble::{Assembler, Broken, schema_changed};
use super::pgoutput::{self, Message, Relation};
use super::receiver::Receiver;
use super::slot;
use super::tables::{Differs, Known, Resolved, Tables, TypeNames};
use super::wire::ServerMessage;
use crate::capture;
use crate::connect::Client;
use crate::names::{capture_name, schema_of};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Events handed over by one call.
const MOST_EVENTS: usize = 4000;

/// Bytes of messages handed over by one call, about.
const MOST_BYTES: usize = 4 << 20;

/// How long a call waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(1);

/// Status updates come at least this often, and four times within `wal_sender_timeout`.
const ANSWER_EVERY: Duration = Duration::from_secs(10);

/// A source's changes, from the replication slot.
pub struct PostgresStream {
    store: PostgresStore,
    receiver: Receiver,
    assembler: Assembler,
    types: TypeNames,
    /// A definition that was read and is not compared with the plan yet.
    undecided: Option<Relation>,
    /// The last event: nothing comes after it.
    ended: Option<StreamEvent>,
}

/// Opens the stream after `from`.
///
/// # Errors
/// [`ErrorKind::LogLost`] where the slot is gone, lost, or was told of more progress than `from`;
/// [`ErrorKind::Unavailable`] while another process reads it; [`ErrorKind::SchemaMismatch`] where the publication or a table
/// is not as planned.
pub async fn open_stream(
    store: &PostgresStore,
    spec: &CaptureSpec,
    from: Position,
) -> Result<Box<dyn ChangeStream>> {
    let client = store.connect(Purpose::Stream).await?;
    let name = capture_name(&spec.migration);
    slot::require(&client, store.label(), &name, from).await?;
    if let Some(difference) = capture::publication_difference(&client, &name, &spec.tables).await? {
        return Err(StoreError::new(
            ErrorKind::SchemaMismatch,
            "postgres.publication",
            store.label(),
            format!("publication {name}: {difference}"),
        )
        .fix("Changes of its tables may be missing since: begin the migration anew"));
    }
    let planned = planned(&client, spec).await?;
    let (reference, answer_every) = present(&client, store.label()).await?;
    store.keep(client);
    Ok(Box::new(PostgresStream {
        receiver: Receiver::open(store.connect_target(), name, from.0, answer_every).await?,
        assembler: Assembler::new(
            Tables::new(spec.tables.clone(), &planned.oids),
            from,
            reference,
        ),
        types: planned.types,
        store: store.clone(),
        undecided: None,
        ended: None,
    }))
}

/// What the catalog says of the planned tables now.
struct Planned {
    oids: HashMap<(String, String), u32>,
    types: TypeNames,
}

async fn planned(client: &Client, spec: &CaptureSpec) -> Result<Planned> {
    let mut schemas = Vec::new();
    let mut names = Vec::new();
    for table in spec.tables.iter().map(|mapping| &mapping.source) {
        let partitions = table.partitions.iter().map(|p| &p.name);
        for name in std::iter::once(&table.name).chain(partitions) {
            schemas.push(schema_of(name));
            names.push(name.name.as_str());
        }
    }
    let rows = client
        .query(
            "looking up the planned tables",
            "SELECT n.nspname::text, c.relname::text, c.oid, a.atttypid, a.atttypmod,
                    format_type(a.atttypid, a.atttypmod)
             FROM unnest($1::text[], $2::text[]) AS p (schema, name)
             JOIN pg_namespace n ON n.nspname = p.schema
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.name
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped",
            &[&schemas, &names],
        )
        .await?;
    let mut planned = Planned {
        oids: HashMap::new(),
        types: HashMap::new(),
    };
    for row in rows {
        planned
            .oids
            .insert((row.get(0), row.get(1)), row.get::<_, u32>(2));
        planned
            .types
            .insert((row.get(3), row.get(4)), row.get::<_, String>(5));
    }
    Ok(planned)
}

/// A 64-bit transaction id of now, and how often to answer the server.
async fn present(client: &Client, label: &str) -> Result<(u64, Duration)> {
    let row = client
        .query_one(
            "reading the server's settings",
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text,
                    (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_sender_timeout')",
            &[],
        )
        .await?;
    let reference = row.get::<_, &str>(0).parse().map_err(|_| {
        StoreError::new(
            ErrorKind::Corrupt,
            "postgres.snapshot",
            label,
            "the server's snapshot cannot be read",
        )
    })?;
    let timeout = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
    let every = match timeout {
        0 => ANSWER_EVERY,
        millis => ANSWER_EVERY.min(Duration::from_millis((millis / 4).max(10))),
    };
    Ok((reference, every))
}

impl PostgresStream {
    /// Takes what is here already, up to a definition or the bounds of one call.
    fn drain(&mut self, events: &mut Vec<StreamEvent>) -> Result<()> {
        let mut bytes = 0;
        while events.len() < MOST_EVENTS && bytes < MOST_BYTES {
            match self.receiver.ready()? {
                None => break,
                Some(ServerMessage::Keepalive { end, .. }) => self.assembler.idle_at(end, events),
                Some(ServerMessage::Data(data)) => {
                    bytes += data.len();
                    match pgoutput::parse(&data).map_err(|e| self.corrupt(&e.to_string()))? {
                        Message::Relation(relation) => {
                            self.undecided = Some(relation);
                            break;
                        }
                        message => self
                            .assembler
                            .take(message, events)
                            .map_err(|e| self.broken(e))?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares a definition with the plan. Asks the catalog only for what is new.
    async fn decide(&mut self) -> Result<()> {
        let Some(relation) = &self.undecided else {
            return Ok(());
        };
        let new: Vec<(u32, i32)> = relation
            .columns
            .iter()
            .map(|c| (c.type_oid, c.type_modifier))
            .filter(|t| !self.types.contains_key(t))
            .collect();
        if !new.is_empty() {
            let names = type_names(&self.store, &new).await?;
            self.types.extend(names);
        }
        let known = match self.assembler.tables().resolve(relation, &self.types) {
            Resolved::Known(known) => known,
            Resolved::Differs(differs) => {
                self.ended = Some(schema_changed(differs));
                return Ok(());
            }
            Resolved::Unnamed => match self.planned_root(relation).await? {
                Some(differs) => {
                    self.ended = Some(schema_changed(differs));
                    return Ok(());
                }
                None => Known::Ignored,
            },
        };
        self.assembler.learn(relation.oid, known);
        self.undecided = None;
        Ok(())
    }

    /// A table that the plan does not name, but is a partition of one that it names.
    async fn planned_root(&self, relation: &Relation) -> Result<Option<Differs>> {
        let client = self.store.connect(Purpose::Stream).await?;
        let row = client
            .query_opt(
                "looking up a table of the log",
                "SELECT n.nspname::text, c.relname::text
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.oid = pg_partition_root($1::oid::regclass)",
                &[&relation.oid],
            )
            .await?;
        Ok(row.and_then(|row| {
            let mapping = self.assembler.tables().by_name(row.get(0), row.get(1))?;
            Some(Differs {
                table: mapping.id,
                what: format!(
                    "partition {}.{} was added or attached after the plan",
                    relation.schema, relation.name
                ),
            })
        }))
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::new(
            ErrorKind::Corrupt,
            "postgres.stream",
            self.store.label(),
            what,
        )
    }

    fn broken(&self, e: Broken) -> StoreError {
        let error = self.corrupt(&e.what);
        match e.table {
            Some(table) => error.table(table),
            None => error,
        }
    }
}

async fn type_names(store: &PostgresStore, types: &[(u32, i32)]) -> Result<TypeNames> {
    let (oids, modifiers): (Vec<u32>, Vec<i32>) = types.iter().copied().unzip();
    let rows = store
        .connect(Purpose::Stream)
        .await?
        .query(
            "looking up types of the log",
            "SELECT t.oid, t.modifier, format_type(t.oid, t.modifier)
             FROM unnest($1::oid[], $2::int4[]) AS t (oid, modifier)",
            &[&oids, &modifiers],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect())
}

#[async_trait]
impl ChangeStream for PostgresStream {
    // cancel-safe: nothing that was taken from the receiver is held across an await except in `undecided`
    async fn next(&mut self) -> Result<Vec<StreamEvent>> {
        let mut events = Vec::new();
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            if self.undecided.is_some() && self.ended.is_none() {
                self.decide().await?;
            }
            if let Some(last) = &self.ended {
                return Ok(vec![last.clone()]);
            }
            self.drain(&mut events)?;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.undecided.is_some() {
                continue;
            }
            tokio::select! {
                waited = self.receiver.wait() => waited?,
                () = &mut patience => return Ok(events),
            }
        }
    }

    async fn confirm(&mut self, checkpoint: Position) -> Result<()> {
        self.receiver.confirm(checkpoint.0);
        Ok(())
    }
}
