//! Random expressions over the columns of the support's table, well typed by construction.

use proptest::prelude::*;
use proptest::strategy::Union;

type Texts = BoxedStrategy<String>;

fn one(texts: &'static [&'static str]) -> Texts {
    proptest::sample::select(texts)
        .prop_map(str::to_owned)
        .boxed()
}

fn any_of(choices: Vec<Texts>) -> Texts {
    Union::new(choices).boxed()
}

/// Expressions of each type, nested to a depth.
#[derive(Clone)]
pub struct Typed {
    pub integer: Texts,
    pub decimal: Texts,
    pub text: Texts,
    pub boolean: Texts,
}

fn leaves() -> Typed {
    Typed {
        integer: any_of(vec![
            one(&["id", "small", "shop_id", "missing", "0", "1", "7"]),
            (-1000_i64..1000).prop_map(|n| format!("({n})")).boxed(),
        ]),
        decimal: any_of(vec![
            one(&["total", "rate", "0.5", "100.00", "1.25"]),
            (-100_000_i64..100_000, 1_u32..4)
                .prop_map(|(n, scale)| format!("({:.*})", scale as usize, n as f64 / 1000.0))
                .boxed(),
        ]),
        text: any_of(vec![
            one(&["name", "code", "nothing", "''", "'a'", "'_b%'", "'Ä'"]),
            "[a-cA-C %_]{0,6}".prop_map(|t| format!("'{t}'")).boxed(),
        ]),
        boolean: one(&["active", "maybe", "true", "false"]),
    }
}

/// Expressions that are nested `depth` deep at most.
pub fn typed(depth: u32) -> Typed {
    if depth == 0 {
        return leaves();
    }
    let Typed {
        integer,
        decimal,
        text,
        boolean,
    } = typed(depth - 1);
    let (i, d, t, b) = (&integer, &decimal, &text, &boolean);
    Typed {
        integer: any_of(vec![
            leaves().integer,
            with("(\u{1} + \u{2})", [i, i, i]),
            with("(\u{1} - \u{2})", [i, i, i]),
            with("(\u{1} * \u{2})", [i, i, i]),
            with("(\u{1} % \u{2})", [i, i, i]),
            with("(-\u{1})", [i, i, i]),
            with("abs(\u{1})", [i, i, i]),
            with("cast(sign(\u{1}) as bigint)", [i, i, i]),
            with("coalesce(\u{1}, \u{2})", [i, i, i]),
            with("nullif(\u{1}, \u{2})", [i, i, i]),
            with("greatest(\u{1}, \u{2}, \u{3})", [i, i, i]),
            with("least(\u{1}, \u{2})", [i, i, i]),
            with("char_length(\u{1})", [t, t, t]),
            with("octet_length(\u{1})", [t, t, t]),
            with("strpos(\u{1}, \u{2})", [t, t, t]),
            with("case when \u{1} then \u{2} else \u{3} end", [b, i, i]),
            with("case \u{1} when \u{2} then \u{3} end", [i, i, i]),
            with("cast(\u{1} as int)", [b, i, i]),
            with("cast(round(\u{1}) as bigint)", [d, d, d]),
        ]),
        decimal: any_of(vec![
            leaves().decimal,
            with("(\u{1} + \u{2})", [d, d, d]),
            with("(\u{1} - \u{2})", [d, i, d]),
            with("(\u{1} * \u{2})", [d, d, d]),
            with("(\u{1} % \u{2})", [d, d, d]),
            with("round(\u{1}, 2)", [d, d, d]),
            with("trunc(\u{1}, 1)", [d, d, d]),
            with("floor(\u{1})", [d, d, d]),
            with("ceil(\u{1})", [d, d, d]),
            with("div(\u{1}, \u{2})", [d, d, d]),
            with("cast(\u{1} as decimal(12,3))", [d, d, d]),
            with("cast(\u{1} as decimal)", [i, i, i]),
            with("case when \u{1} then \u{2} else \u{3} end", [b, d, d]),
            with("coalesce(\u{1}, \u{2})", [d, d, d]),
        ]),
        text: any_of(vec![
            leaves().text,
            with("(\u{1} || \u{2})", [t, t, t]),
            with("concat(\u{1}, \u{2})", [t, t, t]),
            with("(\u{1} || \u{2})", [t, i, t]),
            with("lower(\u{1})", [t, t, t]),
            with("upper(\u{1})", [t, t, t]),
            with("trim(\u{1})", [t, t, t]),
            with("ltrim(\u{1}, \u{2})", [t, t, t]),
            with("left(\u{1}, sign(\u{2})::int * 3)", [t, i, t]),
            with("right(\u{1}, sign(\u{2})::int * 2)", [t, i, t]),
            with("substring(\u{1} from 2 for 3)", [t, t, t]),
            with("replace(\u{1}, \u{2}, \u{3})", [t, t, t]),
            with("lpad(\u{1}, 8, \u{2})", [t, t, t]),
            with("reverse(\u{1})", [t, t, t]),
            with("split_part(\u{1}, \u{2}, 1)", [t, t, t]),
            with("case when \u{1} then \u{2} else \u{3} end", [b, t, t]),
            with("cast(\u{1} as text)", [i, i, i]),
            with("cast(\u{1} as text)", [b, b, b]),
        ]),
        boolean: any_of(vec![
            leaves().boolean,
            with("(\u{1} and \u{2})", [b, b, b]),
            with("(\u{1} or \u{2})", [b, b, b]),
            with("(not \u{1})", [b, b, b]),
            with("(\u{1} = \u{2})", [i, i, i]),
            with("(\u{1} < \u{2})", [i, d, i]),
            with("(\u{1} >= \u{2})", [d, d, d]),
            with("(\u{1} <> \u{2})", [t, t, t]),
            with("(\u{1} <= \u{2})", [t, t, t]),
            with("(\u{1} is distinct from \u{2})", [i, i, i]),
            with("(\u{1} is null)", [t, t, t]),
            with("(\u{1} is not true)", [b, b, b]),
            with("(\u{1} between \u{2} and \u{3})", [i, i, i]),
            with("(\u{1} in (\u{2}, \u{3}, 7))", [i, i, i]),
            with("(\u{1} not in (\u{2}, 'a'))", [t, t, t]),
            with("(\u{1} like \u{2})", [t, t, t]),
            with("starts_with(\u{1}, \u{2})", [t, t, t]),
        ]),
    }
}

/// A pattern with parts in the places of control characters, which no leaf holds.
fn with(pattern: &'static str, parts: [&Texts; 3]) -> Texts {
    let [a, b, c] = parts.map(Clone::clone);
    (a, b, c)
        .prop_map(move |(a, b, c)| {
            let marks = [("\u{1}", a), ("\u{2}", b), ("\u{3}", c)];
            marks.iter().fold(pattern.to_owned(), |text, (mark, part)| {
                text.replace(mark, part)
            })
        })
        .boxed()
}
