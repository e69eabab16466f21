//! The demo's application: another process that writes to the shop all the time, and knows nothing of the migration.
//!
//! It is told where the shop is on its standard input (never on its command line, which others can see), and ends when that
//! is closed: also when whoever started it dies.

use std::io::Read as _;
use std::time::Duration;

use crossfade_plan::StoreUrl;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::shop::{CUSTOMERS, ORDERS, Shop};
use crate::failure::{FAILED, Failure, USAGE};
use crate::show::line;

/// The pause between two transactions.
const PACE: Duration = Duration::from_millis(3);

/// What the application has committed, told twice a second and at its end.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Transactions.
    pub transactions: u64,
    /// Orders placed.
    pub orders: u64,
    /// Orders removed with their lines.
    pub removed: u64,
    /// Goods moved to another shelf: the row's key changes.
    pub moved: u64,
    /// E-mail addresses changed or exchanged between two customers: a unique value moves.
    pub emails: u64,
    /// Other updates.
    pub updates: u64,
}

/// Runs the application until standard input is closed.
///
/// # Errors
/// The shop refuses a transaction.
pub async fn serve() -> Result<u8, Failure> {
    let (url, mut closed) = input()?;
    let mut shop = Shop::open(&url).await?;
    let mut work = Work::new();
    let mut told = tokio::time::Instant::now();
    loop {
        let sql = work.next(&shop);
        // a deadlock or a busy file: the application tries again, as applications do
        let mut tries = 0;
        while let Err(failure) = shop.batch("a transaction of the shop", &sql).await {
            tries += 1;
            if tries > 5 {
                return Err(Failure::new(
                    FAILED,
                    "demo.app",
                    format!("the application gave up: {}", failure.what),
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        work.counts.transactions += 1;
        if told.elapsed() > Duration::from_millis(500) {
            line(&work.counts);
            told = tokio::time::Instant::now();
        }
        tokio::select! {
            _ = &mut closed => break,
            () = tokio::time::sleep(PACE) => {}
        }
    }
    line(&work.counts);
    Ok(0)
}

/// The shop's URL from the first line, and what ends once standard input is closed. A thread of its own reads: the runtime would
/// wait for a blocked read at its end.
fn input() -> Result<(StoreUrl, oneshot::Receiver<()>), Failure> {
    let mut url = String::new();
    std::io::stdin().read_line(&mut url).map_err(|e| {
        Failure::new(
            USAGE,
            "demo.input",
            format!("standard input cannot be read: {e}"),
        )
    })?;
    let url = StoreUrl::parse(url.trim())
        .map_err(|problem| Failure::new(USAGE, "usage.url", problem.what).fix(problem.fix))?;
    let (sender, closed) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut rest = [0u8; 64];
        while std::io::stdin().read(&mut rest).is_ok_and(|n| n > 0) {}
        drop(sender);
    });
    Ok((url, closed))
}

/// Chooses what the shop does next.
struct Work {
    random: u64,
    next_order: u64,
    next_shelf: u64,
    next_email: u64,
    counts: Counts,
}

impl Work {
    fn new() -> Work {
        Work {
            // any start will do; this one is always the same, so that two demos do the same
            random: 0x9E37_79B9_7F4A_7C15,
            next_order: ORDERS + 1,
            next_shelf: 1_000_000,
            next_email: 1,
            counts: Counts::default(),
        }
    }

    /// A number below `bound` (xorshift64, Marsaglia 2003).
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// One transaction.
    fn next(&mut self, shop: &Shop) -> String {
        let p = shop.prefix();
        let body = match self.below(100) {
            0..55 => self.order(p),
            55..70 => self.status(p),
            70..78 => self.email(p),
            78..83 => self.exchange(p),
            83..92 => self.shelf(p),
            92..95 => self.price(p),
            _ => self.remove(p),
        };
        format!("{}; {body} COMMIT", shop.begin())
    }

    fn order(&mut self, p: &str) -> String {
        let id = self.next_order;
        self.next_order += 1;
        self.counts.orders += 1;
        let customer = 1 + self.below(CUSTOMERS);
        let mut sql = format!("INSERT INTO {p}orders VALUES ({id}, {customer}, 'new', NULL);");
        for line in 1..=1 + self.below(3) {
            let sku = 1 + self.below(2_000);
            let quantity = 1 + self.below(4);
            sql.push_str(&format!(
                "INSERT INTO {p}order_lines VALUES ({id}, {line}, 'SKU-{sku}', {quantity}, {});\
                 UPDATE {p}stock SET quantity = quantity - {quantity} WHERE sku = 'SKU-{sku}';",
                100 + sku
            ));
        }
        sql.push_str(&format!(
            "UPDATE {p}customers SET points = points + 1 WHERE id = {customer};"
        ));
        sql
    }

    fn status(&mut self, p: &str) -> String {
        self.counts.updates += 1;
        let id = 1 + self.below(self.next_order - 1);
        format!(
            "UPDATE {p}orders SET status = 'sent', note = 'gone with van {}' WHERE id = {id};",
            id % 9
        )
    }

    fn email(&mut self, p: &str) -> String {
        self.counts.emails += 1;
        let id = 1 + self.below(CUSTOMERS);
        let number = self.next_email;
        self.next_email += 1;
        format!("UPDATE {p}customers SET email = 'new{number}@example.org' WHERE id = {id};")
    }

    /// Two customers exchange their addresses: inside one transaction a unique value goes from row to row.
    fn exchange(&mut self, p: &str) -> String {
        self.counts.emails += 2;
        let one = 1 + self.below(CUSTOMERS - 1);
        let other = one + 1;
        let number = self.next_email;
        self.next_email += 1;
        let email_of = |id: u64| format!("(SELECT email FROM {p}customers WHERE id = {id})");
        let (email_of_one, email_of_other) = (email_of(one), email_of(other));
        // `name` keeps the addresses meanwhile
        format!(
            "UPDATE {p}customers SET name = {email_of_one} WHERE id = {other};\
             UPDATE {p}customers SET email = 'between{number}' WHERE id = {one};\
             UPDATE {p}customers SET name = {email_of_other} WHERE id = {one};\
             UPDATE {p}customers SET email = name, name = 'Name {other}' WHERE id = {other};\
             UPDATE {p}customers SET email = name, name = 'Name {one}' WHERE id = {one};"
        )
    }

    /// Goods move to another shelf: the row's key changes.
    fn shelf(&mut self, p: &str) -> String {
        self.counts.moved += 1;
        let from = 1 + self.below(4_000);
        let to = self.next_shelf;
        self.next_shelf += 1;
        format!(
            "UPDATE {p}stock SET shelf = {to}, warehouse = {} WHERE warehouse = {} AND shelf = {from};",
            to % 4,
            from % 4
        )
    }

    fn price(&mut self, p: &str) -> String {
        self.counts.updates += 1;
        let sku = 1 + self.below(2_000);
        format!("UPDATE {p}products SET price_cents = price_cents + 1 WHERE sku = 'SKU-{sku}';")
    }

    fn remove(&mut self, p: &str) -> String {
        self.counts.removed += 1;
        let id = 1 + self.below(self.next_order - 1);
        format!(
            "DELETE FROM {p}order_lines WHERE order_id = {id}; DELETE FROM {p}orders WHERE id = {id};"
        )
    }
}
