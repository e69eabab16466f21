#![allow(clippy::unwrap_used)]

use super::check;
use crate::example::{body, body_with_difference, body_with_expected, difference, said, sum};
use crate::{Body, DifferenceKind, Override, Verdict};

fn refused(what: &str, body: &Body) {
    let error = check(body).unwrap_err();
    assert_eq!(error.code(), "certificate.inconsistent");
    assert!(error.to_string().contains(what), "{what}: {error}");
}

fn with(body: Body, change: impl FnOnce(&mut Body)) -> Body {
    let mut body = body;
    change(&mut body);
    body
}

#[test]
fn what_agrees_is_accepted() {
    check(&body()).unwrap();
    check(&body_with_expected()).unwrap();
    check(&body_with_difference()).unwrap();
    let whole = with(body_with_difference(), |b| b.tables[0].more = true);
    check(&whole).unwrap();
}

#[test]
fn equality_follows_from_sums_and_listed_rows() {
    let otherwise = "say otherwise";
    refused(otherwise, &with(body(), |b| b.equal = false));
    refused(otherwise, &with(body(), |b| b.tables[0].equal = false));
    refused(otherwise, &with(body(), |b| b.tables[0].more = true));
    refused(otherwise, &with(body(), |b| b.tables[0].target.second += 1));
    refused(otherwise, &with(body(), |b| b.tables[0].target.rows -= 1));
    refused(otherwise, &with(body_with_difference(), |b| b.equal = true));
    refused(
        otherwise,
        &with(body_with_difference(), |b| {
            b.tables[0].equal = true;
            b.equal = true;
        }),
    );
    // a difference that nobody has classified, or that is a defect, is one, whatever the sums say
    for classification in [None, said(Verdict::Bug)] {
        let found = difference(DifferenceKind::Changed, classification);
        refused(
            otherwise,
            &with(body(), |b| b.tables[0].differences.push(found)),
        );
    }
    refused(otherwise, &with(body(), |b| b.projections[0].equal = false));
    refused(
        otherwise,
        &with(body(), |b| b.projections[0].target.rows += 1),
    );
}

#[test]
fn only_rows_of_expected_differences_are_taken_out_of_the_sums() {
    let rows = "is not the rows of expected differences";
    refused(
        rows,
        &with(body_with_expected(), |b| {
            b.tables[0].expected.source = sum(2, 5)
        }),
    );
    refused(
        rows,
        &with(body_with_expected(), |b| b.tables[0].differences.clear()),
    );
    refused(
        rows,
        &with(body_with_expected(), |b| {
            b.tables[0].differences[0] = difference(DifferenceKind::Extra, said(Verdict::Expected));
        }),
    );
    // sums that differ cannot be made equal by taking out digests of no row
    refused(
        "digests of no row",
        &with(body(), |b| {
            b.tables[0].target.second += 1;
            b.tables[0].expected.target.second = 1;
        }),
    );
    refused(
        "say otherwise",
        &with(body_with_expected(), |b| {
            b.tables[0].expected.source = sum(1, 6)
        }),
    );
}

#[test]
fn head_and_salt_must_be_whole() {
    refused("position", &with(body(), |b| b.position = " ".to_owned()));
    refused("format", &with(body(), |b| b.format.insert(22, '0')));
    refused(
        "plan's hash",
        &with(body(), |b| b.plan_hash.replace_range(0..1, "F")),
    );
    refused(
        "ended before",
        &with(body(), |b| b.finished = b.started - 1),
    );
    refused("ended before", &with(body(), |b| b.started = -1));
    refused(
        "committed to",
        &with(body(), |b| b.salt.replace_range(0..1, "1")),
    );
    refused("hexadecimal", &with(body(), |b| b.salt.truncate(62)));
    refused("identity", &with(body(), |b| b.source.identity.clear()));
    refused("no read", &with(body(), |b| b.independent.clear()));
    refused(
        "nothing was compared",
        &with(body(), |b| {
            b.tables.clear();
            b.mappings.clear();
            b.projections.clear();
        }),
    );
    let decided = Override {
        what: "went on".to_owned(),
        by: String::new(),
        reason: "in a hurry".to_owned(),
        at: 1,
    };
    refused("override", &with(body(), |b| b.overrides.push(decided)));
}

#[test]
fn no_label_shows_a_password() {
    let labelled = |label: &str| with(body(), |b| b.source.label = label.to_owned());
    refused("password", &labelled("postgres://app:secret@old/shop"));
    refused("password", &labelled("postgres://app:p@ss@old/shop"));
    for fine in [
        "postgres://app@old:5433/shop",
        "postgres://app:***@old/shop",
        "sqlite:a:b@c.db",
    ] {
        check(&labelled(fine)).unwrap();
    }
}

#[test]
fn nothing_stands_there_twice() {
    refused(
        "source table",
        &with(body(), |b| {
            b.tables[1].source_name = b.tables[0].source_name.clone()
        }),
    );
    refused(
        "target table",
        &with(body(), |b| {
            b.tables[1].target_name = b.tables[0].target_name.clone()
        }),
    );
    refused(
        "projection",
        &with(body(), |b| b.projections.push(b.projections[0].clone())),
    );
    refused(
        "sequence",
        &with(body(), |b| b.sequences.push(b.sequences[0].clone())),
    );
    refused(
        "column näme stands",
        &with(body(), |b| {
            b.tables[0].columns[0].source = "näme".to_owned()
        }),
    );
    refused(
        "compared and left out",
        &with(body(), |b| b.tables[0].excluded[0].column = "id".to_owned()),
    );
}

#[test]
fn tables_columns_and_mappings_belong_together() {
    refused(
        "1 mappings",
        &with(body(), |b| {
            b.mappings.pop();
        }),
    );
    refused("another table's", &with(body(), |b| b.mappings.swap(0, 1)));
    refused(
        "other columns",
        &with(body(), |b| {
            b.tables[0].columns.pop();
        }),
    );
    refused(
        "claims what was not compared",
        &with(body(), |b| {
            b.tables[0].columns[1].claim = "bit-equal".to_owned()
        }),
    );
    refused(
        "cannot be read",
        &with(body(), |b| {
            b.mappings[0] = serde_json::from_str("[1]").unwrap()
        }),
    );
    refused("501 rows", &with(body(), |b| b.tables[0].rows += 1));
}

#[test]
fn a_difference_names_columns_that_were_compared_and_who_classified_it() {
    refused(
        "not compared",
        &with(body_with_expected(), |b| {
            b.tables[0].differences[0].columns = vec!["x".to_owned()]
        }),
    );
    refused(
        "one side only",
        &with(body_with_difference(), |b| {
            b.tables[0].differences[0].columns = vec!["id".to_owned()]
        }),
    );
    let nameless = |b: &mut Body| {
        b.tables[0].differences[0].classification = said(Verdict::Expected).map(|mut c| {
            c.by.clear();
            c
        });
    };
    refused("without a name", &with(body_with_expected(), nameless));
}
