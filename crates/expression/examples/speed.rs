//! How many rows a second one core evaluates: `cargo run --release -p crossfade-expression --example speed`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crossfade_expression::{Bound, CellForm, Expression, Input};
use crossfade_model::{Cell, LogicalType, Row};

/// Rows that are evaluated in turn, so that no branch is always the same.
const ROWS: i64 = 1_000;

/// Short rounds, of which the fastest counts: other programs may take the core for a while.
const ROUNDS: u32 = 500;

/// At least this long is a round.
const ROUND: Duration = Duration::from_millis(3);

const EXPRESSIONS: [&str; 8] = [
    "shop_id",
    "shop_id = 42",
    "shop_id in (3, 5, 42, 77) and total > 10",
    "cast(total * 100 as bigint)",
    "round(total / 3, 2)",
    "'shop/' || shop_id",
    "name like 'user 1%'",
    "case when active then 'Y' else 'N' end",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let columns = [
        ("shop_id", LogicalType::Integer { bits: 64 }),
        ("total", LogicalType::Decimal),
        ("name", LogicalType::Text),
        ("active", LogicalType::Boolean),
    ]
    .map(|(name, logical)| Input {
        name: name.to_owned(),
        logical,
        nullable: false,
    });
    let rows: Vec<_> = (0..ROWS).map(row).collect();
    for text in EXPRESSIONS {
        let bound = Expression::parse(text)?.bind(&columns)?;
        let rate = rate(&bound, &rows);
        println!("{:>7.2} M rows/s  {text}", rate / 1e6);
    }
    Ok(())
}

fn row(number: i64) -> Row {
    let form = |text: String| Cell::TextForm(text.into_bytes().into());
    Row(vec![
        form((number % 100).to_string()),
        form(format!("{}.{:02}", number * 7 % 500, number % 100)),
        form(format!("user {number}")),
        form(if number % 2 == 0 { "t" } else { "f" }.to_owned()),
    ])
}

fn rate(bound: &Bound, rows: &[Row]) -> f64 {
    let filters = bound.logical() == LogicalType::Boolean;
    let mut best = 0_f64;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut count = 0;
        while begun.elapsed() < ROUND {
            for row in rows {
                match filters {
                    true => drop(black_box(bound.holds(row))),
                    false => drop(black_box(bound.evaluate(row, CellForm::Text))),
                }
            }
            count += rows.len();
        }
        best = best.max(count as f64 / begun.elapsed().as_secs_f64());
    }
    best
}
