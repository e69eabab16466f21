//! What tellers write down: a line each, in a file outside of both databases.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Side;

/// Some money from one account to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transfer {
    /// The teller's own name of it: unlike the database's number it is his before he writes.
    pub token: String,
    /// Who pays.
    pub payer: u32,
    /// Who receives.
    pub receiver: u32,
    /// How much.
    pub amount: u32,
}

/// All lines.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Transfers that a database has acknowledged, with their numbers, by their tokens.
    pub acknowledged: BTreeMap<String, (Transfer, i64)>,
    /// Transfers whose commit had no answer.
    pub maybe: BTreeMap<String, Transfer>,
    /// How often a side refused.
    pub refused: [usize; 2],
    /// How many each side acknowledged.
    pub written: [usize; 2],
    /// The longest wait of a transfer for its acknowledgement, milliseconds.
    pub longest: u64,
}

fn file(folder: &Path) -> PathBuf {
    folder.join("bank.log")
}

impl Log {
    /// What is in the log of `folder`.
    pub(super) fn read(folder: &Path) -> Self {
        let mut log = Self::default();
        let text = fs::read_to_string(file(folder)).unwrap_or_default();
        // the last line may be half written
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            log.enter(line)
                .unwrap_or_else(|| panic!("not a line of tellers: {line}"));
        }
        log
    }

    fn enter(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let side = Side::of(words.next()?)? as usize;
        if kind == "refused" {
            self.refused[side] += 1;
            return Some(());
        }
        let transfer = Transfer {
            token: words.next()?.to_owned(),
            payer: words.next()?.parse().ok()?,
            receiver: words.next()?.parse().ok()?,
            amount: words.next()?.parse().ok()?,
        };
        let token = transfer.token.clone();
        if kind == "maybe" {
            self.maybe.insert(token, transfer);
            return Some(());
        }
        let number = words.next()?.parse().ok()?;
        self.longest = self.longest.max(words.next()?.parse().ok()?);
        self.written[side] += 1;
        let twice = self.acknowledged.insert(token, (transfer, number));
        assert!(twice.is_none(), "a teller made a transfer twice: {line}");
        Some(())
    }

    /// In one line, for people.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} transfers acknowledged ({} source, {} target), {} unknown, {} + {} refusals, longest wait {} ms",
            self.acknowledged.len(),
            self.written[0],
            self.written[1],
            self.maybe.len(),
            self.refused[0],
            self.refused[1],
            self.longest
        )
    }
}

/// The log as tellers write it.
pub(super) struct Pen(Mutex<File>);

impl Pen {
    pub(super) fn new(folder: &Path) -> Self {
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .open(file(folder));
        Self(Mutex::new(opened.expect("the log can be opened")))
    }

    fn line(&self, line: &str) {
        let mut file = self.0.lock().unwrap();
        // one write: nobody sees half of it but as the file's end
        file.write_all(format!("{line}\n").as_bytes())
            .expect("the log can be written");
    }

    pub(super) fn acknowledged(&self, side: Side, transfer: &Transfer, number: i64, millis: u128) {
        let words = words(transfer);
        self.line(&format!("ack {} {words} {number} {millis}", side.word()));
    }

    pub(super) fn maybe(&self, side: Side, transfer: &Transfer) {
        self.line(&format!("maybe {} {}", side.word(), words(transfer)));
    }

    pub(super) fn refused(&self, side: Side) {
        self.line(&format!("refused {}", side.word()));
    }
}

fn words(transfer: &Transfer) -> String {
    let Transfer {
        token,
        payer,
        receiver,
        amount,
    } = transfer;
    format!("{token} {payer} {receiver} {amount}")
}
