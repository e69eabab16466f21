//! Ends sessions of the process by their server, as an administrator would.

use super::Scene;
use crate::bank::Side;
use crate::database::Database;
use crate::mysql::MysqlDatabase;

impl Scene<'_> {
    /// All of the process's sessions on one side; gives how many.
    pub(super) fn end_sessions(&self, side: Side) -> usize {
        match self.database(side) {
            // the product names its sessions
            Database::Postgres(database) => database
                .rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'crossfade%'",
                )
                .len(),
            Database::Mysql(database) => self.end_own(database, false),
            Database::Sqlite(_) => 0,
        }
    }

    /// Whoever of the process holds the fence of one side; gives how many.
    pub(super) fn end_holders(&self, side: Side) -> usize {
        match self.database(side) {
            Database::Postgres(database) => database
                .rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks
                     WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND objsubid = 1
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                )
                .len(),
            Database::Mysql(database) => self.end_own(database, true),
            Database::Sqlite(_) => 0,
        }
    }

    /// Tellers' sessions, before they wait in the fence's triggers.
    pub(super) fn note_others(&mut self, side: Side) {
        if let Database::Mysql(database) = self.database(side) {
            self.others = database.others_sessions();
        }
    }

    fn end_own(&self, database: &MysqlDatabase, holding: bool) -> usize {
        let mut sessions = database.own_sessions(holding);
        sessions.retain(|session| !self.others.contains(session));
        let ended = sessions.iter().filter(|one| database.end_session(one));
        ended.count()
    }
}
