#![allow(clippy::unwrap_used)]
use super::tests::*;
use super::*;

const INT: LogicalType = LogicalType::Integer { bits: 64 };
use crossfade_model::{Index, LogicalType};

fn orders() -> Schema {
    let mut note = column("note", LogicalType::Text);
    note.nullable = true;
    let table = table(
        Some("public"),
        "orders",
        vec![
            column("id", INT),
            column("shop", INT),
            column("total", LogicalType::Decimal),
            note,
        ],
    );
    schema(vec![table])
}

fn one(tables: &str) -> Plan {
    plan_of(tables, &orders(), &Schema::default())
}

fn blocked(tables: &str) -> Vec<String> {
    let plan = one(tables);
    plan.findings.iter().map(|f| f.code.clone()).collect()
}

fn columns(plan: &Plan) -> Vec<(String, String)> {
    let mapping = &plan.tables[0];
    let made = mapping
        .origin
        .as_ref()
        .map_or_else(Vec::new, |o| o.columns.clone());
    let names = mapping.columns.iter().map(|c| c.target.clone());
    names.zip(made).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn new_names_alone_carry_rows_as_they_are() {
    let plan = one(
        "[[table]]\nfrom = 'orders'\nto = 'sales'\n[table.columns]\nnumber = 'id'\nremark = { from = 'note' }\n",
    );
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let mapping = &plan.tables[0];
    assert!(mapping.origin.is_none() && mapping.back.is_none());
    let named: Vec<(&str, &str)> = mapping
        .columns
        .iter()
        .map(|c| (c.source.as_str(), c.target.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("id", "number"),
            ("shop", "shop"),
            ("total", "total"),
            ("note", "remark")
        ]
    );
    let designed: Vec<&str> = mapping
        .target
        .columns
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(designed, ["number", "shop", "total", "remark"]);
}

#[test]
fn columns_are_replaced_in_place_added_behind_and_left_out() {
    let plan = one(
        "[[table]]\nfrom = 'orders'\nwhere = 'shop = 42'\ndrop = ['shop']\n[table.columns]\ntotal = 'total * 100'\nzone = \"'EU'\"\n\
         text = { from = 'note', lossy = 'truncate 3' }\n",
    );
    assert_eq!(codes(&plan), Vec::<&str>::new());
    assert_eq!(
        columns(&plan),
        [
            pair("id", "\"id\""),
            pair("total", "total * 100"),
            pair("text", "left(\"note\", 3)"),
            pair("zone", "'EU'"),
        ]
    );
    let back = plan.tables[0].back.as_ref().unwrap();
    // what the filter holds to one value comes back as that
    assert!(back.columns.contains(&pair("shop", "42")), "{back:?}");
    assert!(
        back.columns
            .iter()
            .any(|(c, made)| c == "total" && made.contains('/')),
        "{back:?}"
    );
    assert_eq!(back.kept, ["note"]);
    let lost: Vec<&str> = back.lost.iter().map(|l| l.column.as_str()).collect();
    assert_eq!(lost, ["text"]);
    assert_eq!(back.filter, None);
}

#[test]
fn a_column_without_a_type_becomes_a_text_where_that_is_accepted() {
    let mut source = orders();
    source.tables[0].columns[3].logical = LogicalType::Any;
    let text =
        "[[table]]\nfrom = 'orders'\n[table.columns]\nnote = { from = 'note', lossy = 'accept' }\n";
    let refused = plan_of("[[table]]\nfrom = 'orders'\n", &source, &Schema::default());
    assert_eq!(codes(&refused), ["column.lossy"]);
    let plan = plan_of(text, &source, &Schema::default());
    assert!(!plan.is_blocked(), "{:?}", plan.findings);
    assert!(plan.findings.iter().any(|f| f.code == "column.lossy"));
    assert!(columns(&plan).contains(&pair("note", "cast(\"note\" as text)")));
    let back = plan.tables[0].back.as_ref().unwrap();
    assert_eq!(back.lost.len(), 1);
    // what was planned so is no drift
    let file = super::tests::file(text);
    assert_eq!(drift(&plan, &file, &source, &Plain), []);
}

#[test]
fn the_way_back_is_as_the_file_says_where_nothing_can_be_undone() {
    let plan = one(
        "[[table]]\nfrom = 'orders'\nwhere = \"note <> 'x' and shop > 1\"\n[table.columns]\n\
         note = { expression = 'upper(note)', reverse = 'lower(note)' }\n",
    );
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let back = plan.tables[0].back.as_ref().unwrap();
    assert!(
        back.columns.contains(&pair("note", "lower(note)")),
        "{back:?}"
    );
    // the filter asks for the note as it was, which the target does not have
    assert_eq!(
        back.lost
            .iter()
            .map(|l| l.column.as_str())
            .collect::<Vec<_>>(),
        ["where"]
    );
    let plan =
        one("[[table]]\nfrom = 'orders'\nwhere = 'shop > 1'\n[table.columns]\nstore = 'shop'\n");
    let back = plan.tables[0].back.as_ref().unwrap();
    assert_eq!(back.filter.as_deref(), Some("(\"store\" > 1)"));
    assert!(back.lost.is_empty() && back.kept.is_empty());
}

/// It was given up as a whole where one column of it is not carried, without a word where it names values only.
#[test]
fn a_filter_is_asked_on_the_way_back_of_what_is_carried_of_it() {
    let filter = |tables: &str| {
        let plan = one(tables);
        assert_eq!(codes(&plan), Vec::<&str>::new(), "{tables}");
        let back = plan.tables[0].back.clone().unwrap();
        let lost: Vec<String> = back.lost.iter().map(|l| l.column.clone()).collect();
        (back.filter, lost)
    };
    let own = |text: &str| (Some(text.to_owned()), Vec::new());
    let mixed =
        "[[table]]\nfrom = 'orders'\nwhere = \"Shop = 42 AND Note = 'EU'\"\ndrop = ['shop']\n";
    assert_eq!(filter(mixed), own("(\"note\" = 'EU')"));
    let cased =
        "[[table]]\nfrom = 'orders'\nwhere = 'Shop > 42'\n[table.columns]\nstore = 'shop'\n";
    assert_eq!(filter(cased), own("(\"store\" > 42)"));
    let undone = "[[table]]\nfrom = 'orders'\nwhere = 'shop > 4'\ndrop = ['shop']\n[table.columns]\nstore = 'shop + 10'\n";
    assert_eq!(filter(undone).1, Vec::<String>::new());
    let asked = filter(undone).0.unwrap();
    assert!(
        asked.contains("store") && asked.contains("10") && asked.ends_with("> 4)"),
        "{asked}"
    );
    let left_out =
        "[[table]]\nfrom = 'orders'\nwhere = \"shop > 4 AND note <> 'x'\"\ndrop = ['shop']\n";
    // a new row's shop is said by nothing either
    assert_eq!(
        filter(left_out),
        (
            Some("(\"note\" <> 'x')".to_owned()),
            vec!["shop".to_owned(), "where".to_owned()]
        )
    );
}

/// Only what the file makes of columns that it still lists was looked at.
#[test]
fn a_file_that_says_something_else_of_a_migration_that_has_begun_is_told() {
    let begun = "[[table]]\nfrom = 'orders'\n[table.columns]\nstore = 'shop'\nzone = \"'EU'\"\nbig = { expression = 'upper(note)', forward_only = true }\n";
    let source = orders();
    let plan = plan_of(begun, &source, &Schema::default());
    let told = |tables: &str| {
        let found = drift(&plan, &super::tests::file(tables), &source, &Plain);
        found.iter().map(|f| f.what.clone()).collect::<String>()
    };
    assert_eq!(told(begun), "");
    for (from, to, what) in [
        (", forward_only = true", "", "`reverse` or `forward_only`"),
        (
            "forward_only = true",
            "reverse = 'lower(big)'",
            "`reverse` or `forward_only`",
        ),
        ("zone = \"'EU'\"\n", "", "[table.columns]"),
        ("store = 'shop'\n", "", "[table.columns]"),
        (
            "zone = \"'EU'\"",
            "zone = { expression = \"'EU'\", forward_only = true }",
            "`reverse` or `forward_only`",
        ),
        (
            "from = 'orders'\n",
            "from = 'orders'\ntarget_where = 'id > 0'\n",
            "`target_where`",
        ),
        (
            "from = 'orders'\n",
            "from = 'orders'\nkey = ['zone', 'id']\n",
            "`key`",
        ),
    ] {
        let changed = begun.replace(from, to);
        assert_ne!(changed, begun);
        assert!(
            told(&changed).contains(what),
            "{changed}: {}",
            told(&changed)
        );
    }
}

#[test]
fn what_cannot_be_mapped_is_a_finding_with_its_line() {
    for (tables, code) in [
        (
            "[[table]]\nfrom = 'orders'\nwhere = 'total'\n",
            "table.where",
        ),
        (
            "[[table]]\nfrom = 'orders'\nwhere = 'shp = 1'\n",
            "table.where",
        ),
        (
            "[[table]]\nfrom = 'orders'\ndrop = ['nothing']\n",
            "column.unknown",
        ),
        (
            "[[table]]\nfrom = 'orders'\ndrop = ['id']\n",
            "key.not_carried",
        ),
        (
            "[[table]]\nfrom = 'orders'\n[table.columns]\nid = 'id + 1'\n",
            "key.not_carried",
        ),
        (
            "[[table]]\nfrom = 'orders'\n[table.columns]\nNote = 'shop'\n",
            "column.twice",
        ),
        (
            "[[table]]\nfrom = 'orders'\n[table.columns]\nx = 'note + 1'\n",
            "column.expression",
        ),
        (
            "[[table]]\nfrom = 'orders'\n[table.columns]\nx = { from = 'note', reverse = 'y' }\n",
            "column.reverse",
        ),
        (
            "[[table]]\nfrom = 'orders'\nkey = ['shop']\n",
            "key.not_unique",
        ),
        ("[[table]]\nfrom = 'orders'\nkey = ['x']\n", "key.unknown"),
        (
            "[[table]]\nfrom = 'orders'\nkey = ['zone']\n[table.columns]\nzone = '1'\n",
            "key.not_unique",
        ),
        (
            "[[table]]\nfrom = 'orders'\nkey = ['id', 'shop']\n",
            "key.not_unique",
        ),
        (
            "[[table]]\nfrom = 'orders'\nkey = ['id', 'id']\n",
            "key.twice",
        ),
    ] {
        assert!(
            blocked(tables).contains(&code.to_owned()),
            "{tables}: {:?}",
            blocked(tables)
        );
        assert!(one(tables).is_blocked(), "{tables}");
    }
}

#[test]
fn a_constant_may_stand_before_the_key() {
    let plan =
        one("[[table]]\nfrom = 'orders'\nkey = ['zone', 'id']\n[table.columns]\nzone = \"'EU'\"\n");
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let key: Vec<&str> = plan.tables[0]
        .source
        .key_columns()
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(key, ["zone", "id"]);
    let back = plan.tables[0].back.as_ref().unwrap();
    assert_eq!(back.filter.as_deref(), Some("(\"zone\" = ('EU'))"));
}

fn unique(name: &str, columns: &[&str]) -> Index {
    Index {
        name: name.to_owned(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        unique: true,
        constraint: false,
        primary: false,
        special: false,
        of_table: false,
        definition: String::new(),
    }
}

#[test]
fn another_key_of_the_source_may_be_the_target_s_primary_key() {
    let mut source = orders();
    source.tables[0].indexes = vec![unique("s", &["shop"]), unique("n", &["note"])];
    let text = "[[table]]\nfrom = 'orders'\nto = 'sales'\nkey = ['outlet']\n[table.columns]\noutlet = 'shop'\n";
    let plan = plan_of(text, &source, &Schema::default());
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let mapping = &plan.tables[0];
    let key = mapping.target.key.as_ref().unwrap();
    assert_eq!(
        (mapping.target_key_names(), key.primary),
        (vec!["id"], false)
    );
    let primary: Vec<&Index> = mapping
        .target
        .indexes
        .iter()
        .filter(|i| i.primary)
        .collect();
    assert_eq!(primary.len(), 1);
    assert_eq!(primary[0].columns, ["outlet"]);
    // the index that it stands for is not made twice
    assert_eq!(mapping.target.indexes.len(), 2);

    let refused = |tables: &str, code: &str| {
        let plan = plan_of(tables, &source, &Schema::default());
        assert!(codes(&plan).contains(&code), "{tables}: {:?}", codes(&plan));
    };
    // the way back would have to tell rows apart by what no index of the source is over
    refused(
        "[[table]]\nfrom = 'orders'\nkey = ['shop', 'id']\n",
        "key.not_unique",
    );
    refused(
        "[[table]]\nfrom = 'orders'\nkey = ['note']\n",
        "key.nullable",
    );
    refused(
        "[[table]]\nfrom = 'orders'\nkey = ['shop']\nwhere = 'id > 1'\n",
        "key.other",
    );
}

#[test]
fn a_table_that_two_go_to_is_made_with_the_columns_of_both() {
    let mut source = orders();
    let mut other = source.tables[0].clone();
    other.name.name = "z".to_owned();
    other.columns.push(column("extra", INT));
    source.tables[0].indexes = vec![unique("s", &["shop"])];
    source.tables.push(other);
    let text = "[[table]]\nfrom = 'orders'\nto = 'all'\n[table.columns]\nwhich = '1'\n\
                [[table]]\nfrom = 'z'\nto = 'all'\n[table.columns]\nwhich = '2'\n";
    let plan = plan_of(text, &source, &Schema::default());
    assert_eq!(codes(&plan), Vec::<&str>::new());
    assert_eq!(plan.tables[0].target, plan.tables[1].target);
    let target = &plan.tables[0].target;
    let extra = target.columns.iter().find(|c| c.name == "extra").unwrap();
    assert!(extra.nullable);
    assert!(target.indexes.is_empty());
    let left = |o: &&Omission| o.kind == "unique index";
    assert_eq!(plan.omissions.iter().filter(left).count(), 1);
}

#[test]
fn each_table_that_one_goes_to_has_indexes_of_its_own() {
    let mut source = orders();
    source.tables[0].indexes = vec![unique("s", &["shop"])];
    let text = "[[table]]\nfrom = 'orders'\nto = 'a'\nwhere = 'id < 9'\n[[table]]\nfrom = 'orders'\nto = 'b'\nwhere = 'id >= 9'\n";
    let plan = plan_of(text, &source, &Schema::default());
    assert!(plan.tables.iter().all(|m| m.target.indexes[0].of_table));
}

#[test]
fn several_tables_go_to_one_where_it_is_told_whose_its_rows_are() {
    let mut source = orders();
    let mut other = source.tables[0].clone();
    other.name.name = "old_orders".to_owned();
    source.tables.push(other);
    let both = |one: &str, other: &str| {
        let text = format!(
            "[[table]]\nfrom = 'orders'\nto = 'all'\n{one}\n[[table]]\nfrom = 'old_orders'\nto = 'all'\n{other}\n"
        );
        plan_of(&text, &source, &Schema::default())
    };
    let plan = both("", "");
    assert!(
        codes(&plan).contains(&"plan.name_collision"),
        "{:?}",
        codes(&plan)
    );
    let plan = both("where = 'shop > 0'", "where = 'shop > 0'");
    assert!(codes(&plan).contains(&"table.whose"), "{:?}", codes(&plan));
    let plan = both(
        "[table.columns]\nwhich = \"'new'\"",
        "[table.columns]\nwhich = \"'old'\"",
    );
    assert_eq!(codes(&plan), Vec::<&str>::new());
    assert_eq!(plan.tables[0].slice.as_deref(), Some("\"which\" = ('old')"));
    let plan = both("target_where = 'id >= 1000'", "target_where = 'id < 1000'");
    assert_eq!(codes(&plan), Vec::<&str>::new());
    assert_eq!(plan.tables[1].slice.as_deref(), Some("id >= 1000"));
}

#[test]
fn a_table_is_split_by_rows_or_columns() {
    let plan = one(
        "[[table]]\nfrom = 'orders'\nto = 'a'\nwhere = 'shop = 1'\n[[table]]\nfrom = 'orders'\nto = 'b'\nwhere = 'shop <> 1'\n\
         [[table]]\nfrom = 'orders'\nto = 'notes'\ndrop = ['shop', 'total']\n",
    );
    assert_eq!(codes(&plan), Vec::<&str>::new());
    let names: Vec<String> = plan
        .tables
        .iter()
        .map(|m| m.target.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b", "notes"]);
}

#[test]
fn tables_that_a_split_makes_number_no_rows_alike_without_a_warning() {
    let by_rows = "[[table]]\nfrom = 'orders'\nto = 'a'\nwhere = 'shop = 1'\n[[table]]\nfrom = 'orders'\nto = 'b'\nwhere = 'shop <> 1'\n";
    let by_columns = "[[table]]\nfrom = 'orders'\nto = 'a'\ndrop = ['note']\n[[table]]\nfrom = 'orders'\nto = 'b'\ndrop = ['shop', 'total']\n";
    let counted = |make: &dyn Fn(&mut Column), text: &str| -> Vec<String> {
        let mut source = orders();
        make(&mut source.tables[0].columns[0]);
        let plan = plan_of(text, &source, &Schema::default());
        codes(&plan).into_iter().map(str::to_owned).collect()
    };
    let identity = |column: &mut Column| {
        column.identity = Some(crossfade_model::Identity { always: false });
    };
    assert_eq!(counted(&identity, by_rows), ["table.counters"]);
    assert_eq!(counted(&identity, by_columns), Vec::<String>::new());
    assert_eq!(counted(&|_| {}, by_rows), Vec::<String>::new());
    // both take from one
    let sequence = |column: &mut Column| column.default = Some("nextval('s')".to_owned());
    assert_eq!(counted(&sequence, by_rows), Vec::<String>::new());
    // nothing says that each is used once
    let mut source = orders();
    source.tables[0].columns[1].identity = Some(crossfade_model::Identity { always: false });
    let plan = plan_of(by_rows, &source, &Schema::default());
    assert_eq!(codes(&plan), Vec::<&str>::new());
}

#[test]
fn a_file_that_maps_otherwise_than_what_has_begun_is_refused() {
    let text =
        "[[table]]\nfrom = 'orders'\nwhere = 'shop = 42'\n[table.columns]\ncents = 'total * 100'\n";
    let (plan, source) = (one(text), orders());
    let drifted = |text: &str| -> Vec<String> {
        let found = drift(&plan, &file(text), &source, &Plain);
        found.into_iter().map(|f| f.code).collect()
    };
    assert_eq!(drifted(text), Vec::<String>::new());
    for other in [
        "[[table]]\nfrom = 'orders'\nwhere = 'shop = 43'\n[table.columns]\ncents = 'total * 100'\n",
        "[[table]]\nfrom = 'orders'\nwhere = 'shop = 42'\n[table.columns]\ncents = 'total * 10'\n",
        "[[table]]\nfrom = 'orders'\nwhere = 'shop = 42'\ndrop = ['note']\n[table.columns]\ncents = 'total * 100'\n",
        "[[table]]\nfrom = 'orders'\n",
    ] {
        assert_eq!(drifted(other), ["drift.file"], "{other}");
    }
}

#[test]
fn what_is_made_of_a_dropped_column_takes_its_place_and_its_default() {
    let mut flag = column("Flag", LogicalType::Integer { bits: 16 });
    flag.default = Some("'1'".to_owned());
    let mut code = column("code", LogicalType::Text);
    code.default = Some("upper('x')".to_owned());
    let columns_of = vec![column("id", INT), flag, code, column("last", INT)];
    let source = schema(vec![table(Some("public"), "t", columns_of)]);
    let file = "[[table]]\nfrom = 't'\ndrop = ['Flag']\n[table.columns]\nis_flag = 'cast(Flag as boolean)'\ncode = 'lower(code)'\nnew = 'last + 1'\n";
    let plan = plan_of(file, &source, &Schema::default());
    let names: Vec<String> = columns(&plan).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["id", "is_flag", "code", "last", "new"]);
    let default = |name: &str| {
        let of = plan.tables[0].source.columns.iter();
        of.clone()
            .find(|c| c.name == name)
            .map(|c| (c.logical, c.default.clone()))
    };
    assert_eq!(
        default("is_flag"),
        Some((LogicalType::Boolean, Some("1".to_owned())))
    );
    assert_eq!(default("code").map(|d| d.1), Some(None));
    let lost = |o: &&Omission| o.kind == "default";
    let lost: Vec<&str> = plan
        .omissions
        .iter()
        .filter(lost)
        .map(|o| o.name.as_str())
        .collect();
    assert_eq!(lost, ["public.t: code"]);
}
