//! Random transactions over the shop's tables: each is a list of statements, complete with BEGIN and COMMIT.

use rand::Rng;
use rand::rngs::StdRng;

use super::values;
use crate::database::Dialect;
use crate::seed::generator;
use crate::shop::{self, COUNTERS, REGIONS, SEATS, Tables};

/// What kinds of transactions a writer makes, with how many of a thousand.
const KINDS: &[(u32, Kind)] = &[
    (350, Kind::Small),
    (120, Kind::Counter),
    (100, Kind::SeatSwap),
    (110, Kind::KeyChange),
    (124, Kind::UnchangedLarge),
    (60, Kind::Savepoints),
    (40, Kind::RolledBack),
    (40, Kind::Cascade),
    (50, Kind::SameKeyAgain),
    (2, Kind::Truncate),
    (4, Kind::Big),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Small,
    Counter,
    SeatSwap,
    KeyChange,
    UnchangedLarge,
    Savepoints,
    RolledBack,
    Cascade,
    SameKeyAgain,
    Truncate,
    Big,
}

/// How a writer works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The tables that there are.
    pub tables: Tables,
    /// Accounts that the shop began with: writers keep to about twice as many.
    pub rows: u32,
    /// Rows of a big transaction, at most; 0 for none.
    pub big: u32,
    /// Milliseconds between two transactions of one writer.
    pub pause: u64,
}

impl Options {
    /// A writer that leaves the machine some room.
    #[must_use]
    pub fn new(tables: Tables, rows: u32) -> Self {
        Self {
            tables,
            rows,
            big: 3_000,
            pause: 3,
        }
    }
}

/// Makes transactions without end, the same for the same seed.
#[derive(Debug)]
pub struct Transactions {
    dialect: Dialect,
    options: Options,
    random: StdRng,
}

impl Transactions {
    /// The transactions of writer `part`.
    #[must_use]
    pub fn new(dialect: Dialect, options: Options, seed: u64, part: u64) -> Self {
        Self {
            dialect,
            options,
            random: generator(seed, part + 1),
        }
    }

    /// The next transaction's statements.
    pub fn make(&mut self) -> Vec<String> {
        let kind = self.kind();
        let mut steps = vec![
            match self.dialect {
                Dialect::Postgres | Dialect::Mysql => "BEGIN",
                Dialect::Sqlite => "BEGIN IMMEDIATE",
            }
            .to_owned(),
        ];
        match kind {
            Kind::Small | Kind::RolledBack => self.changes(4, &mut steps),
            Kind::Counter => {
                let id = self.random.random_range(0..COUNTERS);
                steps.push(format!("UPDATE counters SET n = n + 1 WHERE id = {id}"));
            }
            Kind::SeatSwap => self.swap_seats(&mut steps),
            Kind::KeyChange => self.change_key(&mut steps),
            Kind::UnchangedLarge => self.keep_large(&mut steps),
            Kind::Savepoints => self.savepoints(&mut steps),
            Kind::Cascade => self.cascade(&mut steps),
            Kind::SameKeyAgain => self.same_key_again(&mut steps),
            Kind::Truncate => self.truncate(&mut steps),
            Kind::Big => self.big(&mut steps),
        }
        let end = if kind == Kind::RolledBack {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        steps.push(end.to_owned());
        match self.dialect {
            Dialect::Mysql => steps
                .into_iter()
                .map(|step| shop::of_mysql(&step))
                .collect(),
            Dialect::Postgres | Dialect::Sqlite => steps,
        }
    }

    fn kind(&mut self) -> Kind {
        let total: u32 = KINDS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.random.random_range(0..total);
        for (weight, kind) in KINDS {
            if drawn < *weight {
                return *kind;
            }
            drawn -= weight;
        }
        Kind::Small
    }

    fn id(&mut self) -> u32 {
        self.random.random_range(0..self.options.rows * 2)
    }

    /// Up to `most` single changes anywhere.
    fn changes(&mut self, most: u32, steps: &mut Vec<String>) {
        for _ in 0..self.random.random_range(1..=most) {
            let step = self.change();
            steps.push(step);
        }
    }

    fn change(&mut self) -> String {
        let kinds = if self.options.tables == Tables::All {
            17
        } else {
            13
        };
        let id = self.id();
        let dialect = self.dialect;
        match self.random.random_range(0..kinds) {
            0 | 1 => {
                let values = values::account(dialect, id, &mut self.random);
                insert("accounts", &values::ACCOUNT_COLUMNS, &values)
            }
            2 | 3 => {
                let values = values::account(dialect, id, &mut self.random);
                let column = self.random.random_range(1..values.len());
                format!(
                    "UPDATE accounts SET {} = {} WHERE id = {id}",
                    values::ACCOUNT_COLUMNS[column],
                    values[column]
                )
            }
            4 => {
                let (region, no) = self.order();
                let values = values::order(region, no, id, &mut self.random);
                // an order of an account that is not there is refused: it is made only where it is
                format!(
                    "INSERT INTO orders ({}) SELECT {} FROM accounts WHERE id = {id} ON CONFLICT DO NOTHING",
                    values::ORDER_COLUMNS.join(", "),
                    typed(dialect, &values)
                )
            }
            5 => {
                let (region, no) = self.order();
                let amount = values::decimal(&mut self.random, 2);
                format!(
                    "UPDATE orders SET amount = {amount}, state = 'sent' WHERE region = {region} AND no = {no}"
                )
            }
            6 => {
                let (region, no) = self.order();
                format!("DELETE FROM orders WHERE region = {region} AND no = {no}")
            }
            7 => {
                let document = values::document_id(id / 10);
                let body = values::large_text(&mut self.random);
                format!("UPDATE documents SET body = {body} WHERE id = {document}")
            }
            8 => self.new_document(id / 10),
            9 => format!(
                "DELETE FROM documents WHERE id = {}",
                values::document_id(id / 10)
            ),
            10 => {
                let text = values::text(&mut self.random);
                format!(
                    "INSERT INTO words (word, n, tag) VALUES ({}, {id}, {text}) ON CONFLICT (word) DO UPDATE SET tag = {text}",
                    values::word(id)
                )
            }
            11 => format!("DELETE FROM words WHERE word = {}", values::word(id)),
            12 => {
                let (day, code) = (values::day(id), values::code(dialect, id));
                let note = values::text(&mut self.random);
                if self.random.random() {
                    format!("UPDATE days SET note = {note} WHERE day = {day} AND code = {code}")
                } else {
                    format!("DELETE FROM days WHERE day = {day} AND code = {code}")
                }
            }
            _ => self.change_postgres(),
        }
    }

    /// A change of a table that only PostgreSQL has.
    fn change_postgres(&mut self) -> String {
        let n = self.random.random_range(0..6);
        let sensor = self.random.random_range(0..30);
        let slot = self.random.random_range(0..self.options.rows / 15 + 1);
        match self.random.random_range(0..9) {
            0 | 1 => {
                let values = values::event(&mut self.random);
                format!(
                    "INSERT INTO events (kind, n, payload) SELECT {} FROM generate_series(1, {})",
                    typed_event(&values),
                    self.random.random_range(1..4)
                )
            }
            // one of several equal rows
            2 => format!(
                "DELETE FROM events WHERE ctid = (SELECT ctid FROM events WHERE n = {n} LIMIT 1)"
            ),
            3 => format!(
                "UPDATE events SET kind = 'late' WHERE ctid = (SELECT max(ctid) FROM events WHERE n = {n})"
            ),
            4 => format!(
                "INSERT INTO readings (sensor, slot, value) VALUES ({sensor}, {slot}, 0.5)
                 ON CONFLICT (sensor, slot) DO UPDATE SET value = readings.value + 1"
            ),
            5 => format!("DELETE FROM readings WHERE sensor = {sensor} AND slot = {slot}"),
            // into another partition, unless there is such a row already
            6 => format!(
                "UPDATE readings SET sensor = {other} WHERE sensor = {sensor} AND slot = {slot}
                 AND NOT EXISTS (SELECT FROM readings WHERE sensor = {other} AND slot = {slot})",
                other = (sensor + 11) % 30
            ),
            7 => {
                let values = values::bill(&mut self.random);
                insert("bills", &["quantity", "price", "tags"], &values)
            }
            _ => format!(
                "UPDATE bills SET quantity = quantity + 1 WHERE id = {}",
                self.id()
            ),
        }
    }

    fn order(&mut self) -> (u32, u32) {
        (
            self.random.random_range(0..REGIONS),
            self.random
                .random_range(0..=self.options.rows * 2 / REGIONS),
        )
    }

    fn new_document(&mut self, i: u32) -> String {
        let values = [
            values::document_id(i),
            values::text(&mut self.random),
            "0".to_owned(),
            values::large_text(&mut self.random),
            values::bytes(self.dialect, &mut self.random, 60),
        ];
        insert(
            "documents",
            &["id", "title", "hits", "body", "extra"],
            &values,
        )
    }

    /// Unique values change hands, pair by pair around a ring of rows. Meanwhile one row of a pair holds both values,
    /// as a negative number.
    fn swap_seats(&mut self, steps: &mut Vec<String>) {
        let count = self.random.random_range(2..5);
        let first = self.random.random_range(0..SEATS);
        let ring: Vec<u32> = (0..count).map(|i| (first + i * 7) % SEATS).collect();
        if self.dialect != Dialect::Sqlite {
            // locked in one order, so that two writers do not wait for each other
            let places: Vec<String> = ring.iter().map(u32::to_string).collect();
            steps.push(format!(
                "SELECT place FROM seats WHERE place IN ({}) ORDER BY place FOR UPDATE",
                places.join(", ")
            ));
        }
        let mysql = self.dialect == Dialect::Mysql;
        let holder = |place: u32| match mysql {
            // a table that is changed is read by way of another
            true => format!(
                "(SELECT h FROM (SELECT holder AS h FROM seats WHERE place = {place} LIMIT 1) AS s)"
            ),
            false => format!("(SELECT holder FROM seats WHERE place = {place})"),
        };
        let over = if mysql { "DIV" } else { "/" };
        for pair in ring.windows(2) {
            let (one, other) = (pair[0], pair[1]);
            steps.push(format!(
                "UPDATE seats SET holder = -(holder * 100000 + {}) WHERE place = {one}",
                holder(other)
            ));
            steps.push(format!(
                "UPDATE seats SET holder = (-{}) {over} 100000 WHERE place = {other}",
                holder(one)
            ));
            steps.push(format!(
                "UPDATE seats SET holder = (-holder) % 100000 WHERE place = {one}"
            ));
        }
    }

    fn change_key(&mut self, steps: &mut Vec<String>) {
        let (from, to) = (self.id(), self.id());
        let dialect = self.dialect;
        let free = |table: &str, column: &str, to: &str| {
            format!("NOT EXISTS (SELECT 1 FROM {table} WHERE {column} = {to})")
        };
        let step = match self.random.random_range(0..5) {
            // takes orders and their lines along
            0 => format!(
                "UPDATE accounts SET id = {to} WHERE id = {from} AND {}",
                free("accounts", "id", &to.to_string())
            ),
            1 => {
                let (region, no) = self.order();
                format!(
                    "UPDATE orders SET no = {to} WHERE region = {region} AND no = {no}
                     AND NOT EXISTS (SELECT 1 FROM orders WHERE region = {region} AND no = {to})"
                )
            }
            // its large value stays as it is
            2 => {
                let (from, to) = (values::document_id(from / 10), values::document_id(to / 10));
                format!(
                    "UPDATE documents SET id = {to} WHERE id = {from} AND {}",
                    free("documents", "id", &to)
                )
            }
            3 => format!(
                "UPDATE words SET word = {to} WHERE word = {} AND {}",
                values::word(from),
                free("words", "word", &values::word(to)),
                to = values::word(to)
            ),
            _ => format!(
                "UPDATE days SET code = {to} WHERE day = {day} AND code = {from}
                 AND NOT EXISTS (SELECT 1 FROM days WHERE day = {day} AND code = {to})",
                day = values::day(from),
                from = values::code(dialect, from),
                to = values::code(dialect, to)
            ),
        };
        steps.push(step);
    }

    fn keep_large(&mut self, steps: &mut Vec<String>) {
        for _ in 0..self.random.random_range(1..4) {
            let document = values::document_id(self.id() / 10);
            steps.push(format!(
                "UPDATE documents SET hits = hits + 1 WHERE id = {document}"
            ));
        }
    }

    fn savepoints(&mut self, steps: &mut Vec<String>) {
        for i in 0..self.random.random_range(1..4) {
            self.changes(2, steps);
            steps.push(format!("SAVEPOINT s{i}"));
            self.changes(3, steps);
            steps.push(match self.random.random_range(0..3) {
                0 => format!("RELEASE SAVEPOINT s{i}"),
                _ => format!("ROLLBACK TO SAVEPOINT s{i}"),
            });
        }
        self.changes(1, steps);
    }

    fn cascade(&mut self, steps: &mut Vec<String>) {
        let id = self.id();
        steps.push(format!("DELETE FROM accounts WHERE id = {id}"));
        if self.random.random() {
            let values = values::account(self.dialect, id, &mut self.random);
            steps.push(insert("accounts", &values::ACCOUNT_COLUMNS, &values));
        }
    }

    fn same_key_again(&mut self, steps: &mut Vec<String>) {
        let i = self.id() / 10;
        let document = values::document_id(i);
        for _ in 0..self.random.random_range(1..3) {
            steps.push(format!("DELETE FROM documents WHERE id = {document}"));
            let step = self.new_document(i);
            steps.push(step);
            steps.push(format!(
                "UPDATE documents SET hits = hits + 1 WHERE id = {document}"
            ));
        }
        if self.random.random() {
            steps.push(format!("DELETE FROM documents WHERE id = {document}"));
        }
    }

    fn truncate(&mut self, steps: &mut Vec<String>) {
        steps.push(
            match self.dialect {
                Dialect::Postgres | Dialect::Mysql => "TRUNCATE scratch",
                Dialect::Sqlite => "DELETE FROM scratch",
            }
            .to_owned(),
        );
        self.many_rows(50, steps);
    }

    fn big(&mut self, steps: &mut Vec<String>) {
        if self.options.big == 0 {
            return self.changes(2, steps);
        }
        let rows = self.random.random_range(1..=self.options.big);
        self.many_rows(rows, steps);
        steps.push("SAVEPOINT half".to_owned());
        steps.push(format!("DELETE FROM scratch WHERE id < {}", rows / 2));
        steps.push("ROLLBACK TO SAVEPOINT half".to_owned());
        steps.push(format!(
            "UPDATE scratch SET v = 'big' WHERE id < {}",
            rows / 4
        ));
        steps.push(format!("DELETE FROM scratch WHERE id >= {}", rows / 2));
    }

    /// Rows of the scratch table, made by the database.
    fn many_rows(&mut self, rows: u32, steps: &mut Vec<String>) {
        let text = values::text(&mut self.random);
        steps.push(format!(
            "INSERT INTO scratch (id, v)
             WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
             SELECT n, {text} || n FROM s WHERE true ON CONFLICT DO NOTHING"
        ));
    }
}

fn insert(table: &str, columns: &[&str], values: &[String]) -> String {
    format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
        columns.join(", "),
        values.join(", ")
    )
}

/// An order's values for a SELECT, in which PostgreSQL does not see what they are for.
fn typed(dialect: Dialect, values: &[String]) -> String {
    match dialect {
        Dialect::Sqlite | Dialect::Mysql => values.join(", "),
        Dialect::Postgres => {
            let mut typed = values.to_vec();
            typed[4].push_str("::numeric");
            typed[5].push_str("::timestamp");
            typed.join(", ")
        }
    }
}

fn typed_event(values: &[String]) -> String {
    format!(
        "{}::text, {}::integer, {}::jsonb",
        values[0], values[1], values[2]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_transactions() {
        let options = Options::new(Tables::All, 100);
        let make = |part| {
            let mut writer = Transactions::new(Dialect::Postgres, options, 7, part);
            (0..200).map(|_| writer.make()).collect::<Vec<_>>()
        };
        assert_eq!(make(0), make(0));
        assert_ne!(make(0), make(1));
    }
}
