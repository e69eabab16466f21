#![allow(clippy::unwrap_used)]
use super::*;
use crate::file::parse;

const HEAD: &str =
    "[migration]\nname = \"m\"\n[source]\nurl = \"sqlite:a.db\"\n[target]\nurl = \"sqlite:b.db\"\n";

fn entries(text: &str) -> Result<Vec<TableEntry>, Vec<String>> {
    let parsed = parse("m.toml", &format!("{HEAD}{text}"), &|_| None);
    parsed.map(|file| file.tables).map_err(|e| {
        e.problems
            .iter()
            .map(|p| format!("{}:{}: {}", p.line, p.column, p.what))
            .collect()
    })
}

#[test]
fn a_table_says_what_is_moved_and_what_its_columns_are_made_of() {
    let text = "[[table]]\nfrom = \"orders\"\nto = \"sales\"\nwhere = \"shop_id = 42\"\ndrop = [\"internal\"]\nkey = [\"region\", \"id\"]\n\
                [table.columns]\ncents = \"cast(total * 100 as bigint)\"\nregion = \"'EU'\"\nnote = { from = \"comment\", lossy = \"truncate 255\" }\n\
                full = { expression = \"first || ' ' || last\", reverse = { first = \"left(full, 3)\", last = \"right(full, 3)\" } }\n\
                label = { expression = \"upper(name)\", forward_only = true }\n";
    let entry = entries(text).unwrap().remove(0);
    assert_eq!(entry.from.text, "orders");
    assert_eq!(entry.filter.as_ref().unwrap().line, 10);
    assert_eq!(entry.drop[0].text, "internal");
    assert_eq!(entry.key.len(), 2);
    assert!(!entry.is_plain());
    let column = |name: &str| entry.columns.iter().find(|c| c.name.text == name).unwrap();
    assert_eq!(column("note").made.expression.as_column(), Some("comment"));
    assert_eq!(column("note").lossy, Some(Lossy::Truncate(255)));
    assert!(!column("note").is_rename());
    assert_eq!(column("full").reverse.len(), 2);
    assert!(column("label").forward_only);
    assert!(column("region").made.expression.columns().is_empty());
}

#[test]
fn names_alone_leave_the_rows_as_they_are() {
    let text = "[[table]]\nfrom = \"orders\"\n[table.columns]\nnumber = \"id\"\ntext = { from = \"a b\", lossy = \"accept\" }\n";
    let entry = entries(text).unwrap().remove(0);
    assert!(entry.is_plain());
    assert_eq!(entry.columns.iter().filter(|c| c.is_rename()).count(), 2);
}

#[test]
fn what_is_wrong_is_shown_at_its_place() {
    for (text, expected) in [
        (
            "[[table]]\nfrom = \"o\"\nwhere = \"shop_id = = 42\"\n",
            "9:20",
        ),
        (
            "[[table]]\nfrom = \"o\"\n[table.columns]\na = 42\n",
            "10:5: column `a` is to be an expression",
        ),
        (
            "[[table]]\nfrom = \"o\"\n[table.columns]\na = { form = \"b\" }\n",
            "10:7: unknown key `form`",
        ),
        (
            "[[table]]\nfrom = \"o\"\n[table.columns]\na = { lossy = \"half\" }\n",
            "10:15: `lossy` does not say",
        ),
        (
            "[[table]]\nfrom = \"o\"\ndrop = \"a\"\n",
            "9:8: `drop` is to be a list",
        ),
        (
            "[[table]]\nfrom = \"o\"\n[table.columns]\na = { from = \"b\", expression = \"c\" }\n",
            "10:5: column `a` has both",
        ),
        (
            "[[table]]\nfrom = \"o\"\nwhere = \"created < now()\"\n",
            "9:",
        ),
    ] {
        let problems = entries(text).unwrap_err();
        assert!(
            problems.iter().any(|p| p.starts_with(expected)),
            "{text}\n{problems:?}"
        );
    }
}
