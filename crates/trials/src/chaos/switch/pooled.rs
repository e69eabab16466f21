//! A pooler before the applications, and what happens to it.

use super::plan::Pooler;
use crate::chaos::proxy::Proxy;
use crate::database::Database;
use crate::patience::{LONG, wait_until};
use crate::pgbouncer::{self, PgBouncer};
use crate::postgres::{connect, variable};

/// The pooler, and the process's way to its console.
pub(super) struct Pooled {
    bouncer: PgBouncer,
    way: Proxy,
    admin: String,
}

impl Pooled {
    /// Starts one that leads to this database.
    pub(super) fn before(database: &Database) -> Self {
        let url = database.url();
        let (_, address) = url.split_once('@').expect("a URL has a user");
        let (server, name) = address.split_once('/').expect("a URL has a path");
        let (_, port) = server.rsplit_once(':').expect("a URL has a port");
        let port = port.parse().expect("a port is a number");
        let bouncer = PgBouncer::start(&variable(pgbouncer::VARIABLE), port, name);
        let (way, admin) = Proxy::to(&bouncer.admin());
        Self {
            bouncer,
            way,
            admin,
        }
    }

    pub(super) fn url(&self) -> String {
        self.bouncer.url()
    }

    pub(super) fn route(&self) -> String {
        self.bouncer.route_by(&self.admin)
    }

    pub(super) fn strike(&mut self, what: Pooler) {
        match what {
            Pooler::Killed => self.bouncer.kill(),
            Pooler::Frozen => self.bouncer.freeze(true),
            Pooler::CutOff => self.way.cut(true),
        }
    }

    pub(super) fn mend(&mut self, what: Pooler) {
        match what {
            Pooler::Killed => self.bouncer.start_again(),
            Pooler::Frozen => self.bouncer.freeze(false),
            Pooler::CutOff => self.way.cut(false),
        }
    }

    /// Whoever comes by it is led to this database, and not made to wait.
    ///
    /// # Panics
    /// When he is not.
    pub(super) fn assert_leads(&self, to: &Database) {
        let name = to.postgres().name();
        wait_until("the pooler leads to the authority", LONG, || {
            let mut client = match connect(&self.url(), None) {
                Ok(client) => client,
                Err(_) => return false,
            };
            let sql = "SET statement_timeout = '5s'; SELECT current_database()";
            let rows = client.simple_query(sql).unwrap_or_default();
            rows.iter().any(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => row.get(0) == Some(name),
                _ => false,
            })
        });
    }
}
