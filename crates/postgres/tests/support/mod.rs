//! Databases of the tests, on the servers that `cargo xtask test` starts.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU32, Ordering};

use crossfade_postgres::{Client, PostgresStore, Purpose};

/// The servers of the tests, oldest first.
pub const SERVERS: [&str; 3] = [
    "CROSSFADE_TEST_PG15A",
    "CROSSFADE_TEST_PG17",
    "CROSSFADE_TEST_PG18",
];

/// A variable that the servers' starter sets.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// No environment: a URL says everything.
pub fn nothing(_: &str) -> Option<String> {
    None
}

/// A database of its own, and roles that go with it.
pub struct Database {
    server: String,
    /// Its name.
    pub name: String,
    roles: Vec<String>,
}

impl Database {
    /// Makes one on the server that `variable` names.
    pub async fn create(server: &str) -> Database {
        Database::create_with(server, "").await
    }

    /// Makes one with options of CREATE DATABASE.
    pub async fn create_with(server: &str, options: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "catalog_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let database = Database {
            server: variable(server),
            name,
            roles: Vec::new(),
        };
        database
            .on_server(&format!("CREATE DATABASE {} {options}", database.name))
            .await;
        database
    }

    /// The superuser's URL.
    pub fn url(&self) -> String {
        self.url_of(None)
    }

    /// A role's URL, or the superuser's.
    pub fn url_of(&self, role: Option<(&str, &str)>) -> String {
        let (head, _) = self.server.rsplit_once('/').unwrap();
        let url = format!("{head}/{}", self.name);
        match role {
            None => url,
            Some((user, password)) => {
                let (scheme, rest) = url.split_once("://").unwrap();
                let (_, address) = rest.split_once('@').unwrap();
                format!("{scheme}://{user}:{password}@{address}")
            }
        }
    }

    /// The superuser's store.
    pub fn store(&self) -> PostgresStore {
        PostgresStore::open_with(&self.url(), &nothing).unwrap()
    }

    /// A role's store.
    pub fn store_of(&self, user: &str, password: &str) -> PostgresStore {
        PostgresStore::open_with(&self.url_of(Some((user, password))), &nothing).unwrap()
    }

    /// Drops this role, too, with the database.
    pub fn own(&mut self, role: &str) {
        self.roles.push(role.to_owned());
    }

    /// The superuser's connection.
    pub async fn client(&self) -> Client {
        self.store().connect(Purpose::Describe).await.unwrap()
    }

    /// Runs statements as the superuser, in one transaction.
    pub async fn run(&self, sql: &str) {
        batch(&self.store(), sql).await;
    }

    /// One text that a query brings, as the superuser.
    pub async fn text(&self, sql: &str) -> Option<String> {
        self.client()
            .await
            .query_one("looking in a test", sql, &[])
            .await
            .unwrap()
            .get(0)
    }

    async fn on_server(&self, sql: &str) {
        let store = PostgresStore::open_with(&self.server, &nothing).unwrap();
        batch(&store, sql).await;
    }

    /// Drops it and its roles. A test that fails leaves them to the servers' end.
    pub async fn drop(self) {
        self.on_server(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
        for role in &self.roles {
            self.on_server(&format!("DROP OWNED BY {role}")).await;
            self.on_server(&format!("DROP ROLE {role}")).await;
        }
    }
}

/// Runs statements again where two tests changed one row of the shared catalog at once, as GRANT ON PARAMETER does.
async fn batch(store: &PostgresStore, sql: &str) {
    let client = store.connect(Purpose::Describe).await.unwrap();
    for _ in 0..50 {
        match client.batch("preparing a test", sql).await {
            Err(e)
                if e.what.contains("concurrently")
                    || e.what.contains("pg_parameter_acl_parname_index") =>
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            done => return done.unwrap(),
        }
    }
    panic!("the catalog is changed all the time");
}
