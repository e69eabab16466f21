//! Databases of a test's own on each server, and mappings as a plan makes them.

use std::sync::Arc;

use bytes::Bytes;
use crossfade_model::{Cell, ColumnMapping, Row, Schema, Table, TableId, TableMapping, TableName};
use crossfade_mysql::MysqlStore;
use crossfade_store::{Loader, ReadForm, RowBlock, RowStream, Source, Target};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

/// The variables with the servers' URLs.
pub const SERVERS: [&str; 3] = [
    "CROSSFADE_TEST_MYSQL97",
    "CROSSFADE_TEST_MARIADB1011",
    "CROSSFADE_TEST_MARIADB118",
];

/// A database, dropped at the end of a test that passes.
pub struct Database {
    pub name: String,
    pub url: String,
    pub server: &'static str,
    server_url: String,
}

impl Database {
    /// Makes one on the server of a variable.
    pub async fn create(server: &'static str) -> Database {
        let server_url = std::env::var(server)
            .unwrap_or_else(|_| panic!("{server} is not set: run by `cargo xtask test`"));
        let name = format!("t{:016x}", rand::random::<u64>());
        let mut conn = Conn::from_url(&server_url).await.unwrap();
        conn.query_drop(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
        let (base, _) = server_url.rsplit_once('/').unwrap();
        Database {
            url: format!("{base}/{name}"),
            name,
            server,
            server_url,
        }
    }

    pub fn is_mysql(&self) -> bool {
        self.server.ends_with("MYSQL97")
    }

    pub fn store(&self) -> Arc<MysqlStore> {
        Arc::new(MysqlStore::open(&self.url).unwrap())
    }

    /// The store as a user sees it who may do all in this database, and nothing beside it; dropped with the database.
    pub async fn unprivileged(&self) -> MysqlStore {
        let name = &self.name;
        self.run(&[
            &format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'"),
            &format!("GRANT ALL ON {name}.* TO '{name}'@'%'"),
        ])
        .await;
        let (_, address) = self.url.split_once('@').unwrap();
        MysqlStore::open(&format!("mysql://{name}:pw@{address}")).unwrap()
    }

    /// A session of an application's, in the server's own settings.
    pub async fn conn(&self) -> Conn {
        let opts = OptsBuilder::from_opts(Opts::from_url(&self.url).unwrap())
            .prefer_socket(Some(false))
            .init(vec!["SET time_zone = '+00:00'"]);
        Conn::new(opts).await.unwrap()
    }

    /// Runs statements, one after another.
    pub async fn run(&self, statements: &[&str]) {
        let mut conn = self.conn().await;
        for statement in statements {
            conn.query_drop(*statement)
                .await
                .unwrap_or_else(|e| panic!("{}: {e}\nin: {statement}", self.server));
        }
        conn.disconnect().await.unwrap();
    }

    /// The rows of a query as texts.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut conn = self.conn().await;
        let rows: Vec<mysql_async::Row> = conn
            .query(sql)
            .await
            .unwrap_or_else(|e| panic!("{}: {e}\nin: {sql}", self.server));
        conn.disconnect().await.unwrap();
        rows.into_iter()
            .map(|row| {
                row.unwrap()
                    .into_iter()
                    .map(|value| match value {
                        mysql_async::Value::NULL => None,
                        mysql_async::Value::Bytes(b) => {
                            Some(String::from_utf8_lossy(&b).into_owned())
                        }
                        other => Some(other.as_sql(true)),
                    })
                    .collect()
            })
            .collect()
    }

    /// The first value of a query.
    pub async fn value(&self, sql: &str) -> String {
        self.rows(sql).await[0][0].clone().unwrap_or_default()
    }

    pub async fn drop(self) {
        let mut conn = Conn::from_url(&self.server_url).await.unwrap();
        for statement in [
            format!("DROP DATABASE {}", self.name),
            format!("DROP USER IF EXISTS '{}'@'%'", self.name),
        ] {
            conn.query_drop(statement).await.unwrap();
        }
        conn.disconnect().await.unwrap();
    }
}

/// Runs a test on each server, and says on which it fails.
#[macro_export]
macro_rules! on_each_server {
    ($database:ident, $body:block) => {
        for server in $crate::kit::SERVERS {
            eprintln!("on {server}");
            let $database = $crate::kit::Database::create(server).await;
            $body
            $database.drop().await;
        }
    };
}

pub fn named(name: &str) -> TableName {
    TableName {
        schema: None,
        name: name.to_owned(),
    }
}

/// A mapping of a table to what a store designs for it.
pub fn mapping(
    store: &dyn Target,
    engine: &str,
    id: u32,
    source: &Table,
    schema: &Schema,
) -> TableMapping {
    let rename = |name: &TableName| schema.table(name).map(|t| store.default_name(&t.name));
    let name = store.default_name(&source.name);
    let (target, _) = store.design(engine, source, &name, &rename);
    let columns = source
        .captured()
        .map(|c| {
            let declared = store.declare(engine, source, c);
            ColumnMapping {
                source: c.name.clone(),
                target: declared.column.name,
                canonical: declared.canonical,
            }
        })
        .collect();
    TableMapping {
        id: TableId(id),
        source: source.clone(),
        target,
        columns,
        same_shape: false,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    }
}

/// Mappings of all tables of a source.
pub fn mappings(store: &dyn Target, engine: &str, schema: &Schema) -> Vec<TableMapping> {
    (0..)
        .zip(&schema.tables)
        .map(|(id, t)| mapping(store, engine, id, t, schema))
        .collect()
}

/// A text form.
pub fn t(text: &str) -> Cell {
    Cell::TextForm(Bytes::copy_from_slice(text.as_bytes()))
}

/// A row of text forms; `NULL` is NULL.
pub fn row(texts: &[&str]) -> Row {
    Row(texts
        .iter()
        .map(|text| if *text == "NULL" { Cell::Null } else { t(text) })
        .collect())
}

/// All rows of a stream.
pub async fn all(mut rows: Box<dyn RowStream + '_>) -> Vec<Row> {
    let mut out = Vec::new();
    while let Some(block) = rows.next().await.unwrap() {
        match block {
            RowBlock::Rows(more) => out.extend(more),
            RowBlock::Copy(_) => panic!("no rows"),
        }
    }
    out
}

/// Loads rows in one transaction.
pub async fn load(loader: &mut dyn Loader, mapping: &TableMapping, rows: Vec<Row>) {
    loader.begin().await.unwrap();
    loader
        .write(mapping, RowBlock::Rows(rows), &ReadForm::Rows, false)
        .await
        .unwrap();
    loader.finish().await.unwrap();
    loader.commit().await.unwrap();
}

/// The description of a store.
pub async fn described(store: &MysqlStore) -> Schema {
    Source::describe(store).await.unwrap()
}
