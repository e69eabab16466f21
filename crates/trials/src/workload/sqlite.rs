//! The writer on SQLite: another process, as the application is one.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use super::Work;
use super::transactions::{Options, Transactions};
use crate::binary::build_folder;
use crate::database::Dialect;
use crate::shop::Tables;
use crate::sqlite::open;

/// The program that [`writer_main`] is the main function of.
const PROGRAM: &str = "trials-sqlite-writer";

/// The writing process. It ends when its standard input does.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Process {
    pub(super) fn start(path: &Path, options: Options, seed: u64) -> Self {
        let mut child = Command::new(build_folder().join(PROGRAM))
            .arg(path)
            .args(
                [seed, options.rows.into(), options.big.into(), options.pause]
                    .map(|n: u64| n.to_string()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer's program was built with the trials");
        Self {
            input: child.stdin.take(),
            child,
        }
    }

    pub(super) fn stop(mut self) -> Work {
        drop(self.input.take());
        let mut said = String::new();
        let mut output = self.child.stdout.take().expect("piped");
        output.read_to_string(&mut said).expect("UTF-8");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "the writer failed: {status}");
        let mut numbers = said
            .split_whitespace()
            .map(|word| word.parse().expect("a number"));
        Work {
            done: numbers.next().expect("two numbers"),
            refused: numbers.next().expect("two numbers"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // both fail where it has ended, which is as well
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes until standard input ends, then prints what was done.
///
/// # Panics
/// On wrong arguments, and on a database that fails in a way that no application would expect.
pub fn writer_main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("a path");
    let mut number = || -> u64 {
        let word = arguments.next().expect("seed, rows, big, pause");
        word.parse().expect("a number")
    };
    let seed = number();
    let mut options = Options::new(Tables::Common, u32::try_from(number()).expect("small"));
    options.big = u32::try_from(number()).expect("small");
    options.pause = number();
    let ended = std::thread::spawn(|| {
        let mut rest = Vec::new();
        // whatever ends it, it is the end
        let _ = std::io::stdin().read_to_end(&mut rest);
    });
    let connection = open(Path::new(&path));
    let mut transactions = Transactions::new(Dialect::Sqlite, options, seed, 0);
    let mut work = Work::default();
    while !ended.is_finished() {
        match run(&connection, &transactions.make()) {
            Ok(()) => work.done += 1,
            Err(error) => {
                assert!(is_expected(&error), "the writer: {error}");
                work.refused += 1;
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK").expect("rolls back");
                }
            }
        }
        std::thread::sleep(Duration::from_millis(options.pause));
    }
    let mut output = std::io::stdout();
    writeln!(output, "{} {}", work.done, work.refused).expect("the parent reads");
}

fn run(connection: &Connection, steps: &[String]) -> rusqlite::Result<()> {
    steps
        .iter()
        .try_for_each(|step| connection.execute_batch(step))
}

/// Constraints and locks; never a mistake in the SQL.
fn is_expected(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, DatabaseBusy, DatabaseLocked};
    matches!(
        error.sqlite_error_code(),
        Some(ConstraintViolation | DatabaseBusy | DatabaseLocked)
    )
}
