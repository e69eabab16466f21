//! Transactions that were applied, and those that a server has, by their names.

use crossfade_mysql_binlog::{Gtid, GtidSet, MariadbGtid, MariadbPosition, mariadb_state};
use crossfade_store::{ErrorKind, Result};

use crate::connect::Client;
use crate::server::Flavor;

/// Everything up to a place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// All of them.
    Mysql(GtidSet),
    /// The last of each domain.
    Mariadb(MariadbPosition),
}

impl Applied {
    /// From the servers' form.
    pub fn parse(flavor: Flavor, text: &str) -> Option<Applied> {
        match flavor {
            Flavor::Mysql => GtidSet::parse(text).ok().map(Applied::Mysql),
            Flavor::Mariadb => MariadbPosition::parse(text).ok().map(Applied::Mariadb),
        }
    }

    /// In the servers' form.
    pub fn text(&self) -> String {
        match self {
            Applied::Mysql(set) => set.to_string(),
            Applied::Mariadb(position) => position.to_string(),
        }
    }

    /// Goes on by a transaction; false for one of another kind of server.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Applied::Mysql(set), Gtid::Mysql(gtid)) => set.add(gtid),
            (Applied::Mariadb(position), Gtid::Mariadb(gtid)) => position.add(*gtid),
            _ => return false,
        }
        true
    }

    /// Whether a transaction is among them.
    pub fn has(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Applied::Mysql(set), Gtid::Mysql(gtid)) => set.contains(gtid),
            (Applied::Mariadb(position), Gtid::Mariadb(gtid)) => position.covers(gtid),
            _ => false,
        }
    }
}

/// What a server has.
#[derive(Debug, Clone)]
pub(crate) enum Executed {
    /// `gtid_executed`, and what of it is in the log no more. `None`: not all transactions have names.
    Mysql {
        /// All.
        executed: Option<GtidSet>,
        /// Not in the log any more, or never.
        purged: GtidSet,
    },
    /// `gtid_binlog_pos` and `gtid_binlog_state`.
    Mariadb {
        /// The last of each domain.
        position: MariadbPosition,
        /// The last of each domain and server.
        state: Vec<MariadbGtid>,
    },
}

const DOING: &str = "reading which transactions the server has";

impl Executed {
    /// Asks the server.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(client: &mut Client) -> Result<Executed> {
        let sql = match client.server.flavor {
            Flavor::Mysql => {
                "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged, @@GLOBAL.gtid_mode"
            }
            Flavor::Mariadb => "SELECT @@GLOBAL.gtid_binlog_pos, @@GLOBAL.gtid_binlog_state",
        };
        let row = client.text_row(DOING, sql).await?;
        let text = |at| row.as_ref().map_or("", |row| row.text(at));
        let read = match client.server.flavor {
            Flavor::Mysql => mysql(text(0), text(1), text(2).eq_ignore_ascii_case("ON")),
            Flavor::Mariadb => mariadb(text(0), text(1)),
        };
        read.ok_or_else(|| {
            let what = "the server lists its transactions in a form that is not known";
            client.fault(ErrorKind::Unsupported, "mysql.gtid", what)
        })
    }

    /// Asks for all that may be in the log, also what is being committed: MySQL adds a transaction to its set only when readers see it.
    ///
    /// # Errors
    /// The server's.
    pub async fn read_logged(client: &mut Client) -> Result<Executed> {
        if client.server.flavor == Flavor::Mariadb {
            return Executed::read(client).await;
        }
        // before: one that is owned no more is in the set by then
        let owned = crate::position::owned(client).await?;
        let owned = owned.into_iter().collect::<Vec<_>>().join(",");
        let mut read = Executed::read(client).await?;
        if let (
            Executed::Mysql {
                executed: Some(all),
                ..
            },
            Ok(owned),
        ) = (&mut read, GtidSet::parse(&owned))
        {
            all.add_all(&owned);
        }
        Ok(read)
    }

    /// All of them; `None` where not all have names.
    pub fn applied(self) -> Option<Applied> {
        match self {
            Executed::Mysql { executed, .. } => executed.map(Applied::Mysql),
            Executed::Mariadb { position, .. } => Some(Applied::Mariadb(position)),
        }
    }

    /// The applied transactions that it has not; empty where it has all.
    pub fn lacks(&self, applied: &Applied) -> String {
        match (self, applied) {
            (Executed::Mysql { executed, .. }, Applied::Mysql(set)) => {
                let executed = executed.clone().unwrap_or_default();
                set.without(&executed).to_string()
            }
            (Executed::Mariadb { state, .. }, Applied::Mariadb(position)) => {
                let has = |gtid: &MariadbGtid| {
                    let same =
                        |of: &&MariadbGtid| of.domain == gtid.domain && of.server == gtid.server;
                    let last = state.iter().find(same);
                    last.is_some_and(|last| last.sequence >= gtid.sequence)
                };
                let lacking = position.all().filter(|gtid| !has(gtid));
                lacking
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            }
            _ => applied.text(),
        }
    }
}

fn mysql(executed: &str, purged: &str, named: bool) -> Option<Executed> {
    let executed = GtidSet::parse(executed).ok()?;
    Some(Executed::Mysql {
        executed: named.then_some(executed),
        purged: GtidSet::parse(purged).ok()?,
    })
}

fn mariadb(position: &str, state: &str) -> Option<Executed> {
    Some(Executed::Mariadb {
        position: MariadbPosition::parse(position).ok()?,
        state: mariadb_state(state).ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn what_a_server_lacks_is_named() {
        let server = mysql(&format!("{A}:1-9"), "", true).unwrap();
        let applied = |text: &str| Applied::parse(Flavor::Mysql, &format!("{A}:{text}")).unwrap();
        assert_eq!(server.lacks(&applied("1-9")), "");
        assert_eq!(server.lacks(&applied("1-11")), format!("{A}:10-11"));

        let server = mariadb("0-2-12,1-1-3", "0-1-10,0-2-12,1-1-3").unwrap();
        let applied = |text: &str| Applied::parse(Flavor::Mariadb, text).unwrap();
        assert_eq!(server.lacks(&applied("0-1-10,1-1-3")), "");
        assert_eq!(server.lacks(&applied("0-2-11")), "");
        // the old server's own next one, which another server's took the number of
        assert_eq!(server.lacks(&applied("0-1-11")), "0-1-11");
        assert_eq!(server.lacks(&applied("0-1-9,2-1-1")), "2-1-1");
    }

    #[test]
    fn a_server_whose_transactions_have_no_names_says_nothing() {
        assert_eq!(mysql("", "", false).unwrap().applied(), None);
    }
}
