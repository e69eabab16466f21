//! Checking the books: SQL and code of the bank's own.

use std::collections::BTreeMap;

use super::START;
use super::log::{Log, Transfer};
use crate::database::Database;

/// Every account whose balance is not what its transfers make of it, and the sum of all. In one statement: as of one moment.
const BALANCES: &str = "SELECT a.id, a.balance, 1000 + coalesce(m.moved, 0) FROM accounts a LEFT JOIN (
        SELECT account, sum(amount) AS moved FROM (
            SELECT receiver AS account, amount FROM transfers UNION ALL SELECT payer, -amount FROM transfers
        ) AS parts GROUP BY account
    ) AS m ON m.account = a.id
    WHERE a.balance <> 1000 + coalesce(m.moved, 0)";

/// Checks that every balance is what the transfers beside it make of it, and that no money was made or lost. True of every state
/// that a commit has left.
///
/// # Panics
/// When it is not so.
#[track_caller]
pub fn assert_balanced(database: &Database, accounts: u32, when: &str) {
    let wrong = database.rows(BALANCES);
    assert!(
        wrong.is_empty(),
        "{when}: {}: balances that transfers do not explain (account, has, should have): {:?}",
        database.url(),
        &wrong[..wrong.len().min(10)]
    );
    let sum = database.rows("SELECT sum(balance) FROM accounts");
    let whole = (i64::from(accounts) * START).to_string();
    assert_eq!(sum[0][0].as_deref(), Some(&*whole), "{when}: all the money");
}

/// Checks that the authority holds every acknowledged transfer, as it was, under its number, and none twice. `log` was read before.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn assert_holds(database: &Database, log: &Log, when: &str) {
    let held = held(database, when);
    let missing: Vec<_> = log
        .acknowledged
        .iter()
        .filter(|(token, (transfer, number))| {
            held.get(*token) != Some(&(transfer.clone(), *number))
        })
        .map(|(token, logged)| (token, &logged.1, held.get(token)))
        .collect();
    assert!(
        missing.is_empty(),
        "{when}: {}: {} acknowledged transfers of {} are missing or others (token, number, found): {:?}",
        database.url(),
        missing.len(),
        log.acknowledged.len(),
        &missing[..missing.len().min(10)]
    );
}

/// As [`assert_holds`], and nothing else is there but what may be. The tellers have gone home.
///
/// # Panics
/// When it is not so.
#[track_caller]
pub fn assert_is(database: &Database, log: &Log, when: &str) {
    assert_holds(database, log, when);
    let held = held(database, when);
    let foreign: Vec<_> = held
        .iter()
        .filter(|(token, (transfer, _))| {
            !log.acknowledged.contains_key(*token) && log.maybe.get(*token) != Some(transfer)
        })
        .collect();
    assert!(
        foreign.is_empty(),
        "{when}: {}: transfers that nobody made: {:?}",
        database.url(),
        &foreign[..foreign.len().min(10)]
    );
    let mut numbers: Vec<i64> = log.acknowledged.values().map(|(_, n)| *n).collect();
    numbers.sort_unstable();
    let twice = numbers.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(
        twice.is_none(),
        "{when}: a number handed out twice: {twice:?}"
    );
}

/// All transfers by their tokens.
fn held(database: &Database, when: &str) -> BTreeMap<String, (Transfer, i64)> {
    let mut held = BTreeMap::new();
    for row in database.rows("SELECT token, payer, receiver, amount, id FROM transfers") {
        let word = |at: usize| row[at].clone().expect("not null");
        let transfer = Transfer {
            token: word(0),
            payer: word(1).parse().expect("a number"),
            receiver: word(2).parse().expect("a number"),
            amount: word(3).parse().expect("a number"),
        };
        let number = word(4).parse().expect("a number");
        let twice = held.insert(transfer.token.clone(), (transfer, number));
        assert!(
            twice.is_none(),
            "{when}: {}: twice: {twice:?}",
            database.url()
        );
    }
    held
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::session::Session;
    use super::super::{Options, make};
    use super::*;
    use crate::database::Engine;

    const ACCOUNTS: u32 = 5;

    fn transfer(token: &str) -> Transfer {
        Transfer {
            token: token.to_owned(),
            payer: 2,
            receiver: 4,
            amount: 10,
        }
    }

    /// Two transfers made as tellers make them, and one whose commit had no answer.
    fn scene(folder: &std::path::Path) -> (Database, Log) {
        let database = Database::create(Engine::Sqlite, folder, "bank");
        let options = Options {
            accounts: ACCOUNTS,
            ..Options::default()
        };
        make(&database, options);
        let mut session = Session::open(&database.url()).unwrap();
        let mut log = Log::default();
        for token in ["a", "b", "c"] {
            let number = session.transfer(&transfer(token), token == "a").unwrap();
            if token == "c" {
                log.maybe.insert(token.to_owned(), transfer(token));
            } else {
                let entry = (transfer(token), number);
                log.acknowledged.insert(token.to_owned(), entry);
            }
        }
        (database, log)
    }

    fn is_right(database: &Database, log: &Log) -> bool {
        let checked = AssertUnwindSafe(|| {
            assert_is(database, log, "test");
            assert_balanced(database, ACCOUNTS, "test");
        });
        catch_unwind(checked).is_ok()
    }

    #[test]
    fn books_that_are_wrong_in_any_way_are_found() {
        let right = [
            "",
            // nobody knows whether it was committed
            "DELETE FROM transfers WHERE token = 'c'; UPDATE accounts SET balance = balance + 10 WHERE id = 2;
             UPDATE accounts SET balance = balance - 10 WHERE id = 4",
        ];
        let wrong = [
            "DELETE FROM transfers WHERE token = 'b'; UPDATE accounts SET balance = balance + 10 WHERE id = 2;
             UPDATE accounts SET balance = balance - 10 WHERE id = 4",
            "UPDATE transfers SET id = 77 WHERE token = 'b'",
            "UPDATE transfers SET amount = 11 WHERE token = 'b'",
            "INSERT INTO transfers SELECT 99, token, payer, receiver, 0 FROM transfers WHERE token = 'a'",
            "INSERT INTO transfers VALUES (99, 'z', 1, 3, 0)",
            "UPDATE accounts SET balance = balance + 1 WHERE id = 3",
            "UPDATE accounts SET balance = balance + 1 WHERE id = 3; UPDATE accounts SET balance = balance - 1 WHERE id = 1",
        ];
        for (sql, expected) in
            (right.map(|sql| (sql, true)).into_iter()).chain(wrong.map(|sql| (sql, false)))
        {
            let folder = tempfile::TempDir::new().unwrap();
            let (database, log) = scene(folder.path());
            database.run(sql);
            assert_eq!(is_right(&database, &log), expected, "{sql}");
        }
        let folder = tempfile::TempDir::new().unwrap();
        let (database, mut log) = scene(folder.path());
        let (_, number) = log.acknowledged["a"].clone();
        log.acknowledged.get_mut("b").unwrap().1 = number;
        assert!(!is_right(&database, &log), "a number handed out twice");
    }
}
