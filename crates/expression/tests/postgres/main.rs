//! Random expressions give what PostgreSQL gives, where the meaning is meant to be the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../expression/random.rs"]
mod random;
#[path = "../expression/support.rs"]
#[allow(dead_code)]
mod support;

use crossfade_expression::{CellForm, Expression};
use crossfade_model::{Cell, text_form};
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// Expressions of each type.
const COUNT: usize = 400;

const TABLE: &str = "CREATE TABLE facts (id bigint, small smallint, shop_id int, total numeric, rate numeric, \
     name text, code text, active boolean, missing bigint, nothing text, maybe boolean)";

const ROW: &str = "INSERT INTO facts VALUES (42, -7, 5, 19.99, -0.125, 'Ärger im Café', 'SKU-007', true, \
     NULL, NULL, NULL)";

/// A database of its own.
struct Database {
    administrator: Client,
    name: String,
    client: Client,
}

/// A database whose texts are compared by bytes and know the case of all letters.
async fn database() -> Database {
    let server = std::env::var("CROSSFADE_TEST_PG17")
        .expect("CROSSFADE_TEST_PG17 is not set: run `cargo xtask test`");
    let administrator = connect(&server).await;
    let name = format!("expression_{}", std::process::id());
    let create = format!(
        "CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
    );
    administrator.batch_execute(&create).await.unwrap();
    let (head, _) = server.rsplit_once('/').unwrap();
    let client = connect(&format!("{head}/{name}")).await;
    client
        .batch_execute(&format!("{TABLE}; {ROW}"))
        .await
        .unwrap();
    Database {
        administrator,
        name,
        client,
    }
}

impl Database {
    async fn drop(self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.administrator.batch_execute(&drop).await.unwrap();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What came of one expression here and there.
#[derive(Debug, Default)]
struct Tally {
    equal: usize,
    both_fail: usize,
    /// PostgreSQL computes 16 and 32 bits where 64 are computed here, and a constant part before it is needed.
    only_there_fails: usize,
    /// A part has no value that PostgreSQL does not compute, since the rest is constant.
    only_here_fails: usize,
}

async fn compare(client: &Client, text: &str, decimal: bool, tally: &mut Tally) {
    let answer = client
        .query_one(&format!("SELECT ({text})::text FROM facts"), &[])
        .await
        .map(|row| row.get::<_, Option<String>>(0));
    let expression = Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let given = match expression.bind(&support::columns()) {
        Ok(bound) => bound
            .evaluate(&support::row(), CellForm::Text)
            .map_err(|error| error.kind()),
        Err(error) if error.what.contains("no value for any row") => {
            match answer {
                Ok(_) => tally.only_here_fails += 1,
                Err(_) => tally.both_fail += 1,
            }
            return;
        }
        Err(error) => panic!("{text}: {error}"),
    };
    match (given, answer) {
        (Ok(cell), Ok(answer)) => {
            assert_eq!(
                shown(cell, decimal),
                answer.map(|text| canonical(&text, decimal)),
                "{text}"
            );
            tally.equal += 1;
        }
        (Err(_), Err(_)) => tally.both_fail += 1,
        (Ok(_), Err(error)) => {
            let state = error.code().cloned();
            let overflow = state == Some(SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
            let division = state == Some(SqlState::DIVISION_BY_ZERO);
            assert!(overflow || division, "{text}: {error:?}");
            tally.only_there_fails += 1;
        }
        (Err("division"), Ok(_)) => tally.only_here_fails += 1,
        (Err(error), Ok(answer)) => panic!("{text}: {error}, and {answer:?} in PostgreSQL"),
    }
}

/// A result as PostgreSQL's cast to text writes it.
fn shown(cell: Cell, decimal: bool) -> Option<String> {
    let Cell::TextForm(bytes) = cell else {
        return None;
    };
    Some(canonical(std::str::from_utf8(&bytes).unwrap(), decimal))
}

fn canonical(text: &str, decimal: bool) -> String {
    match decimal {
        true => text_form::decimal(text.as_bytes()).unwrap(),
        false => text.to_owned(),
    }
}

async fn many(client: &Client, strategy: &BoxedStrategy<String>, decimal: bool) -> Tally {
    // the same expressions in every run: a difference can be looked at again
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    for _ in 0..COUNT {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        compare(client, &text, decimal, &mut tally).await;
    }
    tally
}

#[tokio::test]
async fn expressions_mean_what_they_mean_in_postgresql() {
    let database = database().await;
    let random::Typed {
        integer,
        decimal,
        text,
        boolean,
    } = random::typed(3);
    // t and f are what a boolean's text form is; its cast to text is another
    let boolean = boolean
        .prop_map(|text| format!("cast({text} as text)"))
        .boxed();
    for (strategy, is_decimal) in [
        (integer, false),
        (decimal, true),
        (text, false),
        (boolean, false),
    ] {
        let tally = many(&database.client, &strategy, is_decimal).await;
        println!("{tally:?}");
        assert!(tally.equal > COUNT * 9 / 10, "{tally:?}");
    }
    database.drop().await;
}
