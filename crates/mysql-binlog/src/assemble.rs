//! From events to items: whole transactions in commit order, with their positions. Pure.

use std::collections::HashSet;

use crossfade_store::ErrorKind;

use crate::decoder::{Decoded, Said, statement_format};
use crate::error::{Error, Result};
use crate::event::format::Rotate;
use crate::event::gtid::{Announced, XaPrepare};
use crate::event::header::Header;
use crate::event::query::{Meaning, Query, meaning};
use crate::event::rows::Rows;
use crate::item::{Batch, Begin, Change, Definition, End, Item};
use crate::position::{LogFile, LogPosition};

/// Prepared transactions of other tables that are remembered until they are decided.
const MOST_PREPARED: usize = 10_000;

/// The 32 bits of an event's own position begin anew only from here on: no event is half as long.
const TURN: u64 = 1 << 31;

/// Makes items of events.
pub(crate) struct Assembler {
    /// The base of the log files' names, once it is known.
    base: Option<String>,
    /// Behind the last event.
    position: LogPosition,
    /// The files that were begun to be read, and when each was begun, as it says itself.
    files: Vec<(u64, u32)>,
    /// Where the first transaction begins that was announced.
    first: Option<LogPosition>,
    state: State,
    /// Changes of an unfinished transaction up to this weight are held back: only what is bigger comes in pieces.
    hold: usize,
    /// Prepared XA transactions that changed nothing that is wanted.
    harmless: HashSet<String>,
}

enum State {
    Idle,
    Announced(Begin),
    Open(Box<Open>),
}

struct Open {
    begin: Begin,
    /// Its beginning was handed on.
    shown: bool,
    /// Changes that were handed on and still count.
    handed: u64,
    held: Vec<Change>,
    held_weight: usize,
    /// Savepoints and how many changes there were then, oldest first.
    savepoints: Vec<(String, u64)>,
}

impl Open {
    fn new(begin: Begin) -> Box<Open> {
        Box::new(Open {
            begin,
            shown: false,
            handed: 0,
            held: Vec::new(),
            held_weight: 0,
            savepoints: Vec::new(),
        })
    }

    fn count(&self) -> u64 {
        self.handed + self.held.len() as u64
    }

    /// Hands on what is held.
    fn show(&mut self, out: &mut Batch) {
        if !self.shown {
            self.shown = true;
            out.push(Item::Begin(self.begin.clone()));
        }
        self.handed += self.held.len() as u64;
        self.held_weight = 0;
        self.held
            .drain(..)
            .for_each(|change| out.push(Item::Change(change)));
    }

    fn savepoint(&mut self, name: String) {
        let count = self.count();
        self.savepoints
            .retain(|(old, _)| !old.eq_ignore_ascii_case(&name));
        self.savepoints.push((name, count));
    }

    fn rewind(&mut self, name: &str, out: &mut Batch) -> Result<()> {
        let place = self
            .savepoints
            .iter()
            .rposition(|(known, _)| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Error::corrupt("a transaction goes back to a savepoint that it has not")
            })?;
        self.savepoints.truncate(place + 1);
        let kept = self.savepoints.last().map_or(0, |(_, count)| *count);
        if let Some(held) = kept.checked_sub(self.handed) {
            self.held
                .truncate(usize::try_from(held).unwrap_or(usize::MAX));
        } else {
            self.held.clear();
            self.handed = kept;
            out.push(Item::Rewind { kept });
        }
        self.held_weight = self.held.iter().map(Change::weight).sum();
        Ok(())
    }
}

impl Assembler {
    pub fn new(hold: usize) -> Assembler {
        Assembler {
            base: None,
            position: LogPosition::default(),
            files: Vec::new(),
            first: None,
            state: State::Idle,
            hold,
            harmless: HashSet::new(),
        }
    }

    /// The first event stands here.
    pub fn begin_at(&mut self, base: &str, position: LogPosition) {
        self.base = Some(base.to_owned());
        self.position = position;
    }

    /// The base of the log files' names; `None` before the first event.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Behind the last event.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// See [`crate::BinlogStream::files`].
    pub fn files(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.files)
    }

    /// Where the first transaction begins that was brought; `None` before.
    pub fn first_transaction(&self) -> Option<LogPosition> {
        self.first
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// What cannot be in a log, what cannot be followed.
    pub fn take(&mut self, event: Decoded, out: &mut Batch) -> Result<()> {
        let before = self.position;
        if !event.inner {
            self.advance(&event.header, &event.said)?;
        }
        match &event.said {
            Said::Format(_) => {
                let begun = (self.position.file, event.header.timestamp);
                self.files.push(begun);
            }
            Said::Announced(_) => self.note_first(&event.header, before),
            _ => {}
        }
        match event.said {
            Said::Rotate(rotate) => self.rotate(&rotate, out)?,
            Said::Format(format) if format.server_started != 0 => self.abandon(out),
            Said::Stop => self.abandon(out),
            Said::Announced(announced) => self.announce(announced, before)?,
            Said::Query(query) => self.query(query, &event.header, before, out)?,
            Said::Xid => self.commit(out)?,
            Said::XaPrepare(prepare) => self.prepare(&prepare, out)?,
            Said::Rows(rows) => self.rows(rows, out)?,
            Said::Heartbeat => self.idle(out),
            Said::Format(_) | Said::Opened | Said::Nothing => {}
        }
        Ok(())
    }

    /// Goes on behind an event, whose header tells the lower 32 bits of where that is.
    fn advance(&mut self, header: &Header, said: &Said) -> Result<()> {
        if header.is_artificial() || matches!(said, Said::Rotate(_)) {
            return Ok(());
        }
        let mut next = self.position.offset >> 32 << 32 | u64::from(header.next);
        if next < self.position.offset {
            // a description that is sent again, a heartbeat from before: no step
            if matches!(said, Said::Format(_) | Said::Heartbeat | Said::Nothing) {
                return Ok(());
            }
            if self.position.offset & u64::from(u32::MAX) < TURN {
                return Err(Error::corrupt(format!(
                    "an event at {} is followed by one that ends at {}",
                    self.position, header.next
                )));
            }
            next += 1 << 32;
        }
        self.position.offset = next;
        Ok(())
    }

    /// What comes before the first transaction may have been left out by the server, which tells no position of that.
    fn note_first(&mut self, header: &Header, before: LogPosition) {
        let offset = self.position.offset.saturating_sub(header.size.into());
        let start = LogPosition {
            offset,
            ..self.position
        };
        self.first.get_or_insert(start.max(before));
    }

    fn rotate(&mut self, rotate: &Rotate, out: &mut Batch) -> Result<()> {
        let file = LogFile::parse(&rotate.file)?;
        let other = self.base.as_ref().is_some_and(|base| *base != file.base);
        if other || file.number < self.position.file {
            return Err(Error::new(
                ErrorKind::LogLost,
                "binlog.reset",
                format!(
                    "after the log file {:06} comes {}: the log was begun anew",
                    self.position.file, rotate.file
                ),
            )
            .fix("Copy anew: what was in the old files is in no log"));
        }
        if file.number > self.position.file {
            // a transaction is never split: what is open was left so by a crash
            self.abandon(out);
        }
        self.base = Some(file.base);
        let next = LogPosition {
            file: file.number,
            offset: rotate.offset,
        };
        // the beginning of a file is told by the end of the last one, and again as it begins
        self.position = self.position.max(next);
        Ok(())
    }

    /// What is open did not happen.
    fn abandon(&mut self, out: &mut Batch) {
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Idle)
            && open.shown
        {
            out.push(Item::Abort(End {
                position: self.position,
                gtid: None,
            }));
        }
    }

    fn announce(&mut self, announced: Announced, start: LogPosition) -> Result<()> {
        if !matches!(self.state, State::Idle) {
            return Err(Error::corrupt("a transaction begins inside another"));
        }
        let begins = announced.begins();
        let begin = Begin {
            gtid: announced.gtid,
            committed_at: announced.committed_at,
            start,
        };
        self.state = match begins {
            true => State::Open(Open::new(begin)),
            false => State::Announced(begin),
        };
        Ok(())
    }

    fn query(
        &mut self,
        query: Query,
        header: &Header,
        start: LogPosition,
        out: &mut Batch,
    ) -> Result<()> {
        match meaning(&query.sql) {
            Meaning::Begin | Meaning::XaStart => self.begin(header, start),
            Meaning::Commit if !matches!(self.state, State::Open(_)) => {
                self.pass(out);
                Ok(())
            }
            Meaning::Commit => self.commit(out),
            Meaning::Rollback => {
                self.roll_back(out);
                Ok(())
            }
            Meaning::Savepoint(name) => self.open().map(|open| open.savepoint(name)),
            Meaning::RollbackTo(name) => self.open()?.rewind(&name, out),
            Meaning::Release | Meaning::XaEnd => Ok(()),
            Meaning::XaDecide(xid) => self.decide(&xid, out),
            Meaning::ChangesRows => {
                let word = query.sql.split_whitespace().next().unwrap_or("a comment");
                let word: String = word.chars().take(20).collect();
                Err(statement_format(&word))
            }
            Meaning::Definition => {
                self.define(query, header, start, out);
                Ok(())
            }
        }
    }

    fn begin(&mut self, header: &Header, start: LogPosition) -> Result<()> {
        let begin = match std::mem::replace(&mut self.state, State::Idle) {
            State::Announced(begin) => begin,
            State::Idle => unannounced(header, start),
            // MariaDB's GTID began it; XA START follows
            State::Open(open) if open.count() == 0 && !open.shown => open.begin,
            State::Open(_) => return Err(Error::corrupt("a transaction begins inside another")),
        };
        self.state = State::Open(Open::new(begin));
        Ok(())
    }

    fn open(&mut self) -> Result<&mut Open> {
        match &mut self.state {
            State::Open(open) => Ok(open),
            _ => Err(Error::corrupt(
                "a change or savepoint is outside any transaction",
            )),
        }
    }

    fn rows(&mut self, mut rows: Rows, out: &mut Batch) -> Result<()> {
        let hold = self.hold;
        let open = self.open()?;
        while let Some(row) = rows.next_change()? {
            let change = Change {
                table: rows.table().clone(),
                row,
            };
            open.held_weight += change.weight();
            open.held.push(change);
        }
        if open.held_weight > hold {
            open.show(out);
        }
        Ok(())
    }

    fn commit(&mut self, out: &mut Batch) -> Result<()> {
        let mut open = match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(open) => open,
            _ => return Err(Error::corrupt("a transaction ends that had not begun")),
        };
        if open.shown || !open.held.is_empty() {
            open.show(out);
            out.push(Item::Commit(self.end(open.begin)));
        } else {
            out.push(Item::Passed(self.end(open.begin)));
        }
        Ok(())
    }

    /// A transaction is written with its rollback only where it changed tables that cannot roll back; these are refused
    /// elsewhere, so nothing of it counts.
    fn roll_back(&mut self, out: &mut Batch) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(open) if open.shown => out.push(Item::Abort(self.end(open.begin))),
            State::Open(open) => out.push(Item::Passed(self.end(open.begin))),
            State::Announced(begin) => out.push(Item::Passed(self.end(begin))),
            State::Idle => {}
        }
    }

    /// Whatever was announced ends without having done anything that counts.
    fn pass(&mut self, out: &mut Batch) {
        let gtid = match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(open) => open.begin.gtid,
            State::Announced(begin) => begin.gtid,
            State::Idle => None,
        };
        out.push(Item::Passed(End {
            position: self.position,
            gtid,
        }));
    }

    fn idle(&mut self, out: &mut Batch) {
        if matches!(self.state, State::Idle) && self.base.is_some() {
            self.pass(out);
        }
    }

    fn end(&self, begin: Begin) -> End {
        End {
            position: self.position,
            gtid: begin.gtid,
        }
    }

    fn define(&mut self, query: Query, header: &Header, start: LogPosition, out: &mut Batch) {
        let definition = |begin: Begin, end| {
            Item::Definition(Definition {
                begin,
                database: query.database.clone(),
                sql: query.sql.clone(),
                is_utf8: query.is_utf8,
                sql_mode: query.sql_mode,
                end,
            })
        };
        let begin = match &mut self.state {
            State::Open(open) => {
                open.show(out);
                out.push(definition(open.begin.clone(), None));
                return;
            }
            State::Announced(begin) => begin.clone(),
            State::Idle => unannounced(header, start),
        };
        self.state = State::Idle;
        let end = self.end(begin.clone());
        out.push(definition(begin, Some(end)));
    }

    fn prepare(&mut self, prepare: &XaPrepare, out: &mut Batch) -> Result<()> {
        if prepare.one_phase {
            return self.commit(out);
        }
        let open = self.open()?;
        if open.shown || !open.held.is_empty() {
            let table = open.held.last().map(|change| change.table.label());
            let error = xa(
                "a transaction is prepared by XA: whether it will commit stands elsewhere in the log",
            );
            return Err(match table {
                Some(table) => error.table(table),
                None => error,
            });
        }
        if self.harmless.len() >= MOST_PREPARED {
            return Err(xa("too many prepared XA transactions are left undecided"));
        }
        self.harmless.insert(prepare.xid.written());
        self.pass(out);
        Ok(())
    }

    fn decide(&mut self, xid: &str, out: &mut Batch) -> Result<()> {
        if !self.harmless.remove(xid) {
            return Err(xa(
                "an XA transaction is decided that was prepared before the stream began: its rows were not seen",
            ));
        }
        self.pass(out);
        Ok(())
    }
}

fn xa(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "binlog.xa", what).fix(
        "Let applications that change these tables commit without XA, end what XA RECOVER lists, then copy anew",
    )
}

/// A transaction of a server that names none.
fn unannounced(header: &Header, start: LogPosition) -> Begin {
    Begin {
        gtid: None,
        committed_at: i64::from(header.timestamp) * 1_000_000,
        start,
    }
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
