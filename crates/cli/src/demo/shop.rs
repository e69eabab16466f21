//! The demo's shop: its tables, and how its two sides are spoken to. Apart from all of crossfade's own code, so that the
//! demo's last check shares nothing with what it checks.

use std::time::Duration;

use crossfade_plan::{Scheme, StoreUrl};
use crossfade_postgres::{Client, PostgresStore, Purpose};

use crate::failure::{FAILED, Failure, REFUSED, USAGE};

/// A connection to the shop, as an application has it.
pub enum Shop {
    /// A SQLite file.
    Sqlite(rusqlite::Connection),
    /// A PostgreSQL server; the tables are in the schema `shop`.
    Postgres(Box<Client>),
}

/// The shop's tables, parents before children, and the columns by which their rows are sorted.
pub const TABLES: [(&str, &str); 5] = [
    ("customers", "id"),
    ("products", "sku"),
    ("stock", "warehouse, shelf"),
    ("orders", "id"),
    ("order_lines", "order_id, line"),
];

/// Rows that the shop begins with.
pub const CUSTOMERS: u64 = 20_000;
const PRODUCTS: u64 = 2_000;
const STOCK: u64 = 4_000;
/// Orders that the shop begins with.
pub const ORDERS: u64 = 50_000;

/// What marks the schema as the demo's.
const MARK: &str = "made by crossfade demo";

impl Shop {
    /// Connects as an application does.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(url: &StoreUrl) -> Result<Shop, Failure> {
        match url.scheme() {
            Scheme::Sqlite => {
                let path = url.sqlite_path().unwrap_or_default();
                let open = || {
                    let connection = rusqlite::Connection::open(path)?;
                    connection.busy_timeout(Duration::from_secs(30))?;
                    connection.pragma_update(None, "journal_mode", "wal")?;
                    connection.pragma_update(None, "foreign_keys", "on")?;
                    Ok(connection)
                };
                open()
                    .map(Shop::Sqlite)
                    .map_err(|e| sqlite("opening the shop", &e))
            }
            Scheme::Postgres => {
                let store = PostgresStore::open(url.expose())?;
                let client = store.connect(Purpose::Read).await?;
                let name = "SET application_name = 'crossfade demo'";
                client.batch("naming the session", name).await?;
                Ok(Shop::Postgres(Box::new(client)))
            }
            Scheme::Mysql => Err(Failure::new(
                USAGE,
                "usage.demo",
                "the demo's shop is not written for MySQL",
            )
            .fix("name a PostgreSQL server")),
        }
    }

    /// Runs statements.
    ///
    /// # Errors
    /// The database refuses them.
    pub async fn batch(&mut self, doing: &str, sql: &str) -> Result<(), Failure> {
        match self {
            Shop::Sqlite(connection) => {
                let done = connection.execute_batch(sql);
                if done.is_err() && !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                done.map_err(|e| sqlite(doing, &e))
            }
            Shop::Postgres(client) => {
                let done = client.batch(doing, sql).await;
                if done.is_err() {
                    // where the connection is gone, so is the transaction
                    let _ = client.batch("rolling back", "ROLLBACK").await;
                }
                Ok(done?)
            }
        }
    }

    /// The rows of a query whose columns are all text.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let doing = "reading the shop";
        match self {
            Shop::Sqlite(connection) => {
                let read = || {
                    let mut statement = connection.prepare(sql)?;
                    let columns = statement.column_count();
                    let rows = statement
                        .query_map([], |row| (0..columns).map(|i| row.get(i)).collect())?;
                    rows.collect::<Result<Vec<_>, rusqlite::Error>>()
                };
                read().map_err(|e| sqlite(doing, &e))
            }
            Shop::Postgres(client) => {
                let rows = client.query(doing, sql, &[]).await?;
                Ok(rows
                    .iter()
                    .map(|row| (0..row.len()).map(|i| row.get(i)).collect())
                    .collect())
            }
        }
    }

    /// What stands before a table's name.
    pub fn prefix(&self) -> &'static str {
        match self {
            Shop::Sqlite(_) => "",
            Shop::Postgres(_) => "shop.",
        }
    }

    /// Opens a transaction in which the shop writes.
    pub fn begin(&self) -> &'static str {
        match self {
            // a transaction that begins by reading could find that it may not write after all
            Shop::Sqlite(_) => "BEGIN IMMEDIATE",
            Shop::Postgres(_) => "BEGIN",
        }
    }

    /// Makes the shop and its first rows.
    ///
    /// # Errors
    /// A schema `shop` that is not an earlier demo's; a database that refuses.
    pub async fn make(&mut self) -> Result<(), Failure> {
        if let Shop::Postgres(_) = self {
            self.clear("source").await?;
            let sql = format!("CREATE SCHEMA shop; COMMENT ON SCHEMA shop IS '{MARK}'");
            self.batch("making the shop", &sql).await?;
        }
        let sql = format!(
            "{}; {} {} COMMIT",
            self.begin(),
            self.tables(),
            self.first_rows()
        );
        self.batch("making the shop", &sql).await?;
        if let Shop::Postgres(_) = self {
            // estimates of rows come from statistics
            for (table, _) in TABLES {
                self.batch("making the shop", &format!("ANALYZE shop.{table}"))
                    .await?;
            }
        }
        Ok(())
    }

    /// Removes an earlier demo's schema.
    ///
    /// # Errors
    /// A schema `shop` that is somebody else's.
    pub async fn clear(&mut self, side: &str) -> Result<(), Failure> {
        if let Shop::Sqlite(_) = self {
            return Ok(());
        }
        let found = self
            .rows("SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = 'shop'")
            .await?;
        match found.first().and_then(|row| row.first()) {
            None => Ok(()),
            Some(comment) if comment.as_deref() == Some(MARK) => {
                self.batch("removing an earlier demo", "DROP SCHEMA shop CASCADE")
                    .await
            }
            Some(_) => Err(Failure::new(
                REFUSED,
                "demo.schema",
                format!("the {side} has a schema `shop` that no demo has made"),
            )
            .fix("give the demo a database of its own")),
        }
    }

    /// Marks the target's schema as the demo's, so that a later demo may remove it.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn mark(&mut self) -> Result<(), Failure> {
        match self {
            Shop::Sqlite(_) => Ok(()),
            Shop::Postgres(_) => {
                self.batch(
                    "marking the demo's schema",
                    &format!("COMMENT ON SCHEMA shop IS '{MARK}'"),
                )
                .await
            }
        }
    }

    fn tables(&self) -> String {
        let p = self.prefix();
        let int = match self {
            Shop::Sqlite(_) => "INTEGER",
            Shop::Postgres(_) => "bigint",
        };
        format!(
            "CREATE TABLE {p}customers (
                id {int} NOT NULL PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL, city text,
                points {int} NOT NULL DEFAULT 0);
             CREATE TABLE {p}products (
                sku text NOT NULL PRIMARY KEY, title text NOT NULL, price_cents {int} NOT NULL);
             CREATE TABLE {p}stock (
                warehouse {int} NOT NULL, shelf {int} NOT NULL, sku text NOT NULL REFERENCES {p}products (sku),
                quantity {int} NOT NULL, PRIMARY KEY (warehouse, shelf));
             CREATE TABLE {p}orders (
                id {int} NOT NULL PRIMARY KEY, customer_id {int} NOT NULL REFERENCES {p}customers (id),
                status text NOT NULL, note text);
             CREATE TABLE {p}order_lines (
                order_id {int} NOT NULL REFERENCES {p}orders (id), line {int} NOT NULL,
                sku text NOT NULL REFERENCES {p}products (sku), quantity {int} NOT NULL, price_cents {int} NOT NULL,
                PRIMARY KEY (order_id, line));
             CREATE INDEX orders_customer ON {p}orders (customer_id);"
        )
    }

    fn first_rows(&self) -> String {
        let p = self.prefix();
        let numbers = |last: u64| {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
            )
        };
        format!(
            "{} INSERT INTO {p}customers
                SELECT i, 'customer' || i || '@example.org', 'Name ' || i,
                       CASE WHEN i % 3 = 0 THEN NULL ELSE 'Città ' || i % 97 END, i % 50 FROM n;
             {} INSERT INTO {p}products
                SELECT 'SKU-' || i, 'Product ' || i || ' of quality ' || i % 7, 100 + i * 37 % 9900 FROM n;
             {} INSERT INTO {p}stock SELECT i % 4, i, 'SKU-' || (1 + i % {PRODUCTS}), i % 200 FROM n;
             {} INSERT INTO {p}orders
                SELECT i, 1 + i * 7919 % {CUSTOMERS}, CASE i % 3 WHEN 0 THEN 'paid' ELSE 'sent' END,
                       CASE WHEN i % 5 = 0 THEN 'leave at the door, number ' || i END FROM n;
             INSERT INTO {p}order_lines
                SELECT o.id, l.line, 'SKU-' || (1 + (o.id * 31 + l.line) % {PRODUCTS}), 1 + o.id % 4, 100 + o.id * 37 % 9900
                FROM {p}orders o, (SELECT 1 AS line UNION ALL SELECT 2 UNION ALL SELECT 3) l
                WHERE l.line <= 1 + o.id % 3;",
            numbers(CUSTOMERS),
            numbers(PRODUCTS),
            numbers(STOCK),
            numbers(ORDERS),
        )
    }

    /// All rows of a table as text, sorted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn all_rows(&mut self, table: &str) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let columns: &[&str] = match table {
            "customers" => &["id", "email", "name", "city", "points"],
            "products" => &["sku", "title", "price_cents"],
            "stock" => &["warehouse", "shelf", "sku", "quantity"],
            "orders" => &["id", "customer_id", "status", "note"],
            _ => &["order_id", "line", "sku", "quantity", "price_cents"],
        };
        let list: Vec<String> = columns
            .iter()
            .map(|c| format!("CAST({c} AS text)"))
            .collect();
        let sql = format!("SELECT {} FROM {}{table}", list.join(", "), self.prefix());
        let mut rows = self.rows(&sql).await?;
        // sorted here: the two stores may sort text differently
        rows.sort_unstable();
        Ok(rows)
    }
}

fn sqlite(doing: &str, error: &rusqlite::Error) -> Failure {
    Failure::new(FAILED, "demo.sqlite", format!("{doing}: {error}"))
}
