use super::*;
use crate::testkit::{Form, table};

#[test]
fn only_a_table_that_others_have_a_part_of_is_read_before_it_is_written() {
    let mut mapping = table(0, Form::Ordered);
    assert!(!keeps(&mapping));
    mapping.slice = Some("id > 5".to_owned());
    assert!(keeps(&mapping));
    mapping.slice = None;
    let mut extra = mapping.target.columns[1].clone();
    extra.name = "extra".to_owned();
    mapping.target.columns.push(extra.clone());
    assert!(keeps(&mapping));
    // nobody else writes what the target makes itself
    mapping.target.columns.pop();
    extra.identity = Some(crossfade_model::Identity { always: true });
    mapping.target.columns.push(extra);
    assert!(!keeps(&mapping));
    assert!(!keeps(&table(0, Form::Keyless)));
}
