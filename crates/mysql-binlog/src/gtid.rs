//! Names of transactions, and sets of them.
//!
//! MySQL reference manual, "GTID Format and Storage"; MariaDB knowledge base, "Global Transaction ID".

use std::collections::BTreeMap;

use crossfade_model::hex;
use crossfade_store::ErrorKind;

use crate::error::{Error, Result};

/// A transaction's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Gtid {
    /// MySQL's.
    Mysql(MysqlGtid),
    /// MariaDB's.
    Mariadb(MariadbGtid),
}

impl std::fmt::Display for Gtid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gtid::Mysql(gtid) => gtid.fmt(f),
            Gtid::Mariadb(gtid) => gtid.fmt(f),
        }
    }
}

/// `uuid:number` or `uuid:tag:number`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MysqlGtid {
    /// Who numbers.
    pub source: MysqlSource,
    /// The number, from 1 on.
    pub number: u64,
}

/// Who numbers transactions: a server, and a tag (MySQL 8.3 and later).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MysqlSource {
    /// The server's UUID.
    pub server: [u8; 16],
    /// The tag, in lower case.
    pub tag: Option<String>,
}

impl MysqlGtid {
    /// From its parts.
    pub fn new(server: [u8; 16], tag: Option<String>, number: u64) -> MysqlGtid {
        MysqlGtid {
            source: MysqlSource { server, tag },
            number,
        }
    }
}

impl std::fmt::Display for MysqlGtid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.number)
    }
}

impl std::fmt::Display for MysqlSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e] = [0..4, 4..6, 6..8, 8..10, 10..16].map(|part| {
            // the ranges lie inside 16 bytes
            hex::encode(self.server.get(part).unwrap_or_default())
        });
        write!(f, "{a}-{b}-{c}-{d}-{e}")?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
    }
}

/// `domain-server-sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MariadbGtid {
    /// The replication domain: sequences are ordered within it.
    pub domain: u32,
    /// The server that wrote it first.
    pub server: u32,
    /// The number in the domain.
    pub sequence: u64,
}

impl std::fmt::Display for MariadbGtid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

/// The last transaction of each domain: MariaDB's `gtid_slave_pos`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MariadbPosition(BTreeMap<u32, MariadbGtid>);

impl MariadbPosition {
    /// From the servers' form: GTIDs with commas between.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<MariadbPosition> {
        let mut position = MariadbPosition::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            position.add(mariadb_gtid(part).ok_or_else(|| unreadable(part))?);
        }
        Ok(position)
    }

    /// Goes on to this transaction.
    pub fn add(&mut self, gtid: MariadbGtid) {
        self.0.insert(gtid.domain, gtid);
    }

    /// The last transactions, by domain.
    pub fn all(&self) -> impl Iterator<Item = &MariadbGtid> {
        self.0.values()
    }

    /// Whether a transaction lies at or before it, where each domain's numbers only rise (`gtid_strict_mode`).
    pub fn covers(&self, gtid: &MariadbGtid) -> bool {
        self.of_domain(gtid.domain)
            .is_some_and(|last| gtid.sequence <= last.sequence)
    }

    /// The last transaction of a domain.
    pub fn of_domain(&self, domain: u32) -> Option<MariadbGtid> {
        self.0.get(&domain).copied()
    }
}

/// MariaDB's `gtid_binlog_state`: of each domain and server the last transaction that is in the log.
///
/// # Errors
/// Anything else than GTIDs with commas between.
pub fn mariadb_state(text: &str) -> Result<Vec<MariadbGtid>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| mariadb_gtid(part).ok_or_else(|| unreadable(part)))
        .collect()
}

fn mariadb_gtid(text: &str) -> Option<MariadbGtid> {
    let mut parts = text.splitn(3, '-');
    Some(MariadbGtid {
        domain: parts.next()?.parse().ok()?,
        server: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    })
}

impl std::fmt::Display for MariadbPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, gtid) in self.0.values().enumerate() {
            write!(f, "{}{gtid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Numbers from the first up to, without, the second.
type Interval = (u64, u64);

/// A set of MySQL's transactions: `gtid_executed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GtidSet(BTreeMap<MysqlSource, Vec<Interval>>);

/// The greatest number there can be (2^63 - 2).
const MAX_NUMBER: u64 = (1 << 63) - 2;

impl GtidSet {
    /// From the servers' form: `uuid:1-5:7:tag:1-3,uuid:1`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<GtidSet> {
        let mut set = GtidSet::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            set.parse_server(part).ok_or_else(|| unreadable(part))?;
        }
        Ok(set)
    }

    fn parse_server(&mut self, text: &str) -> Option<()> {
        let mut parts = text.split(':').map(str::trim);
        let digits = parts.next()?.replace('-', "");
        let server = hex::decode(&digits)?.try_into().ok()?;
        let mut source = MysqlSource { server, tag: None };
        for part in parts {
            if !part.starts_with(|c: char| c.is_ascii_digit()) {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if part.is_empty() || part.len() > 32 || !part.chars().all(word) {
                    return None;
                }
                source.tag = Some(part.to_ascii_lowercase());
                continue;
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if first == 0 || last < first || last > MAX_NUMBER {
                return None;
            }
            self.add_interval(source.clone(), (first, last + 1));
        }
        Some(())
    }

    /// Adds one transaction.
    pub fn add(&mut self, gtid: &MysqlGtid) {
        if gtid.number == 0 || gtid.number > MAX_NUMBER {
            return;
        }
        let one = (gtid.number, gtid.number + 1);
        // nearly always the next number of one that is known
        if let Some(last) = self.0.get_mut(&gtid.source).and_then(|all| all.last_mut())
            && last.1 == gtid.number
        {
            last.1 += 1;
            return;
        }
        self.add_interval(gtid.source.clone(), one);
    }

    /// Adds what is in another one.
    pub fn add_all(&mut self, other: &GtidSet) {
        for (source, all) in &other.0 {
            for interval in all {
                self.add_interval(source.clone(), *interval);
            }
        }
    }

    fn add_interval(&mut self, source: MysqlSource, (mut first, mut end): Interval) {
        let intervals = self.0.entry(source).or_default();
        let from = intervals.partition_point(|interval| interval.1 < first);
        let to = intervals.partition_point(|interval| interval.0 <= end);
        if let Some(touched) = intervals
            .get(from..to)
            .filter(|touched| !touched.is_empty())
        {
            first = touched.first().map_or(first, |i| i.0.min(first));
            end = touched.last().map_or(end, |i| i.1.max(end));
        }
        intervals.splice(from..to.max(from), [(first, end)]);
    }

    /// Whether this transaction is in it.
    pub fn contains(&self, gtid: &MysqlGtid) -> bool {
        self.covers(&gtid.source, (gtid.number, gtid.number.saturating_add(1)))
    }

    /// Whether every transaction of `other` is in it.
    pub fn contains_all(&self, other: &GtidSet) -> bool {
        other
            .0
            .iter()
            .all(|(source, all)| all.iter().all(|interval| self.covers(source, *interval)))
    }

    fn covers(&self, source: &MysqlSource, (first, end): Interval) -> bool {
        self.0.get(source).is_some_and(|intervals| {
            let after = intervals.partition_point(|interval| interval.0 <= first);
            after
                .checked_sub(1)
                .and_then(|at| intervals.get(at))
                .is_some_and(|interval| end <= interval.1)
        })
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub fn without(&self, other: &GtidSet) -> GtidSet {
        let mut left = GtidSet::default();
        for (source, all) in &self.0 {
            let theirs = other.0.get(source).map(Vec::as_slice).unwrap_or_default();
            for (first, end) in all {
                let mut from = *first;
                for (low, high) in theirs.iter().filter(|i| i.0 < *end && i.1 > *first) {
                    if from < *low {
                        left.add_interval(source.clone(), (from, *low));
                    }
                    from = from.max(*high);
                }
                if from < *end {
                    left.add_interval(source.clone(), (from, *end));
                }
            }
        }
        left
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The form in which COM_BINLOG_DUMP_GTID takes it (MySQL internals, `Gtid_set::encode`): untagged as always, with tags
    /// in the format that 8.3 brought.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let tagged = self.0.keys().any(|source| source.tag.is_some());
        let count = self.0.len() as u64;
        let mut out = Vec::new();
        let header = if tagged { 1 << 56 | count << 8 } else { count };
        out.extend_from_slice(&u64::to_le_bytes(header));
        for (source, intervals) in &self.0 {
            out.extend_from_slice(&source.server);
            if tagged {
                let tag = source.tag.as_deref().unwrap_or_default();
                // a tag has at most 32 letters: one byte holds twice its length
                out.push((tag.len() as u8) << 1);
                out.extend_from_slice(tag.as_bytes());
            }
            out.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for (first, end) in intervals {
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&end.to_le_bytes());
            }
        }
        out
    }
}

impl std::fmt::Display for GtidSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (source, intervals)) in self.0.iter().enumerate() {
            write!(f, "{}{source}", if index == 0 { "" } else { "," })?;
            for (first, end) in intervals {
                match end - 1 {
                    last if last == *first => write!(f, ":{first}")?,
                    last => write!(f, ":{first}-{last}")?,
                }
            }
        }
        Ok(())
    }
}

fn unreadable(part: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        "binlog.gtid",
        format!("{part:?} is no GTID or set of GTIDs"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        GtidSet::parse(text).unwrap()
    }

    #[test]
    fn sets_are_merged_and_come_back_as_text() {
        assert_eq!(
            set(&format!("{A}:1-3:7:4-6:9")).to_string(),
            format!("{A}:1-7:9")
        );
        assert_eq!(
            set(&format!("{A}:1:Deploy:2-3,{A}:5")).to_string(),
            format!("{A}:1:5,{A}:deploy:2-3")
        );
        assert_eq!(set("").to_string(), "");
        for wrong in [
            "x",
            "3e11:1",
            &format!("{A}:0"),
            &format!("{A}:5-4"),
            &format!("{A}::"),
        ] {
            assert!(GtidSet::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_added_is_contained_and_nothing_else() {
        let mut some = set(&format!("{A}:1-5:10"));
        let gtid = |number| {
            let source = some.0.keys().next().unwrap().clone();
            MysqlGtid { source, number }
        };
        let (six, eleven, twenty) = (gtid(6), gtid(11), gtid(20));
        assert!(some.contains(&gtid(5)) && some.contains(&gtid(10)));
        assert!(!some.contains(&six) && !some.contains(&eleven));
        for gtid in [&six, &eleven, &twenty, &six] {
            some.add(gtid);
        }
        assert_eq!(some.to_string(), format!("{A}:1-6:10-11:20"));
        assert!(some.contains_all(&set(&format!("{A}:2-6:11"))));
        assert!(!some.contains_all(&set(&format!("{A}:6-7"))));
        assert!(!some.contains_all(&set(&format!("{A}:t:1"))));
    }

    #[test]
    fn what_one_set_has_and_another_has_not_is_left() {
        for (all, taken, left) in [
            ("1-10", "", "1-10"),
            ("1-10", "1-10", ""),
            ("1-10", "3-4:7", "1-2:5-6:8-10"),
            ("5-10", "1-5:10-20", "6-9"),
            ("1:3:5", "3", "1:5"),
        ] {
            let set = |numbers: &str| match numbers {
                "" => GtidSet::default(),
                numbers => set(&format!("{A}:{numbers}")),
            };
            assert_eq!(set(all).without(&set(taken)), set(left), "{all} - {taken}");
        }
        let other = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
        let two = set(&format!("{A}:1-3,{other}:1"));
        let left = two.without(&set(&format!("{A}:2,{other}:1-9")));
        assert_eq!(left, set(&format!("{A}:1:3")));
    }

    #[test]
    fn mariadb_keeps_the_last_of_each_domain() {
        let mut position = MariadbPosition::parse("1-11-7, 0-11-4").unwrap();
        position.add(mariadb_gtid("0-12-5").unwrap());
        assert_eq!(position.to_string(), "0-12-5,1-11-7");
        assert!(MariadbPosition::parse("1-2").is_err());
    }
}
