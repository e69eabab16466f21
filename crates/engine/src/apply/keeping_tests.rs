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

/// Written in the order of tables, `b`'s delete would come behind the row that takes its key in `a`.
#[test]
fn mappings_of_one_table_are_written_together_up_to_a_truncate() {
    let mut tables = [0, 1, 2].map(|id| table(id, Form::Ordered));
    tables[2].target.name = tables[0].target.name.clone();
    let keyed = |id: u32| {
        let deletes = vec![crate::testkit::key_row("5")];
        let upserts = Vec::new();
        (TableId(id), Effect::Keyed { upserts, deletes })
    };
    let clear = (TableId(2), Effect::Clear(crossfade_store::ChunkRange::All));
    let effects = [keyed(0), keyed(1), keyed(2), clear, keyed(0), keyed(2)];
    let groups = groups(&tables, &effects);
    let shown: Vec<Vec<u32>> = groups
        .iter()
        .map(|group| group.iter().map(|(table, _)| table.0).collect())
        .collect();
    assert_eq!(shown, [vec![0, 2], vec![1], vec![2], vec![0, 2]]);
}
