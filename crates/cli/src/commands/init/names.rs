//! Names in a target's custom, and which of several that would clash keeps its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::args::Names;

/// A name as it is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// On the target.
    pub name: String,
    pub why: Why,
}

/// Why a name is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is the source's.
    Own,
    /// It is in the target's custom.
    Custom,
    /// It is the source's, cut to the target's limit.
    Cut,
    /// It keeps the source's: in the target's custom another one would have it too.
    Clash,
    /// It has a number: on the target another one has it.
    Numbered,
}

/// The name in lower case, with what cannot stand in a bare name as `_`. One that can be written bare as it is stays.
pub(super) fn styled(name: &str, style: Names) -> String {
    match style {
        Names::Keep => name.to_owned(),
        Names::Lower => name.to_ascii_lowercase(),
        Names::Snake => snake(name),
    }
}

fn is_bare(name: &str) -> bool {
    name.chars()
        .all(|c| c == '_' || c == '$' || (c.is_alphanumeric() && !c.is_uppercase()))
}

fn snake(name: &str) -> String {
    if is_bare(name) {
        return name.to_owned();
    }
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, &c) in letters.iter().enumerate() {
        if c != '_' && !c.is_alphanumeric() {
            // one for all that stand together, none at the ends
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        if c.is_uppercase() && before.is_some_and(|b| begins_word(*b, &letters[at + 1..])) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    if out.ends_with('_') && !name.ends_with('_') {
        out.pop();
    }
    match out.chars().any(char::is_alphanumeric) {
        true => out,
        false => name.to_owned(),
    }
}

/// Whether a capital begins a word: after a small letter or a digit, and where it is the last of several and small ones follow
/// (`HTTPServer`), unless that is only the s of a plural (`UserIDs`).
fn begins_word(before: char, after: &[char]) -> bool {
    if before.is_lowercase() || before.is_numeric() {
        return true;
    }
    let plural = matches!(after, ['s'] | ['s', '_', ..])
        || matches!(after, ['s', next, ..] if next.is_uppercase());
    before.is_uppercase() && after.first().is_some_and(|c| c.is_lowercase()) && !plural
}

/// Names for things that stand beside each other, none of them twice, also not in another case. `wanted`: of each the source's and
/// the one that it should have; `cut` shortens a name to what the target keeps.
pub(super) fn allocate(wanted: &[(String, String)], cut: &dyn Fn(&str) -> String) -> Vec<Given> {
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for (_, name) in wanted {
        *asked.entry(cut(name).to_lowercase()).or_default() += 1;
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut out: Vec<Option<Given>> = vec![None; wanted.len()];
    for (given, (own, name)) in out.iter_mut().zip(wanted) {
        let kept = cut(name);
        if asked.get(&kept.to_lowercase()) == Some(&1) {
            taken.insert(kept.to_lowercase());
            let why = match (kept == *own, name == own) {
                (true, _) => Why::Own,
                (false, true) => Why::Cut,
                (false, false) => Why::Custom,
            };
            *given = Some(Given { name: kept, why });
        }
    }
    // one that is in the custom already has the better right to its name
    let clashing: Vec<usize> = (0..out.len()).filter(|at| out[*at].is_none()).collect();
    let (plain, others): (Vec<usize>, Vec<usize>) = clashing
        .into_iter()
        .partition(|at| wanted[*at].0 == wanted[*at].1);
    for at in plain.into_iter().chain(others) {
        let (own, name) = &wanted[at];
        let kept = cut(own);
        let given = if taken.insert(kept.to_lowercase()) {
            let why = match (kept == *own, name == own) {
                (true, true) => Why::Own,
                (false, true) => Why::Cut,
                (_, false) => Why::Clash,
            };
            Given { name: kept, why }
        } else {
            let name = numbered(name, cut, &taken);
            taken.insert(name.to_lowercase());
            Given {
                name,
                why: Why::Numbered,
            }
        };
        out[at] = Some(given);
    }
    out.into_iter().flatten().collect()
}

/// The name with the first number that makes it another one.
fn numbered(name: &str, cut: &dyn Fn(&str) -> String, taken: &BTreeSet<String>) -> String {
    let mut number = 2_u32;
    loop {
        let ending = format!("_{number}");
        let mut base = name.to_owned();
        let mut whole = format!("{base}{ending}");
        while cut(&whole) != whole && base.pop().is_some() {
            whole = format!("{base}{ending}");
        }
        if !taken.contains(&whole.to_lowercase()) {
            return whole;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_where_people_part_them() {
        for (name, expected) in [
            ("OrderDetails", "order_details"),
            ("customerId", "customer_id"),
            ("CustomerID", "customer_id"),
            ("HTTPServer", "http_server"),
            ("UserIDs", "user_ids"),
            ("URLsSeen", "urls_seen"),
            ("Address2Line", "address2_line"),
            ("ORDER_DETAILS", "order_details"),
            ("Order_Details", "order_details"),
            ("with space", "with_space"),
            (" two  blanks ", "two_blanks"),
            ("a-b.c", "a_b_c"),
            ("Grüße", "grüße"),
            ("Straße Élan", "straße_élan"),
            ("日本語", "日本語"),
            ("plain_name", "plain_name"),
            ("__x__", "__x__"),
            ("_Id", "_id"),
            ("odd$name", "odd$name"),
            ("🦀", "🦀"),
            ("select", "select"),
        ] {
            assert_eq!(styled(name, Names::Snake), expected, "{name}");
        }
        assert_eq!(styled("OrderDetails", Names::Lower), "orderdetails");
        assert_eq!(styled("With Space", Names::Lower), "with space");
        assert_eq!(styled("OrderDetails", Names::Keep), "OrderDetails");
    }

    fn given(names: &[&str], longest: usize) -> Vec<(String, Why)> {
        let wanted: Vec<(String, String)> = names
            .iter()
            .map(|n| ((*n).to_owned(), styled(n, Names::Snake)))
            .collect();
        let cut = |name: &str| name.chars().take(longest).collect::<String>();
        let given = allocate(&wanted, &cut);
        given.into_iter().map(|g| (g.name, g.why)).collect()
    }

    fn is(given: Vec<(String, Why)>, expected: &[(&str, Why)]) {
        let expected: Vec<(String, Why)> = expected
            .iter()
            .map(|(n, why)| ((*n).to_owned(), *why))
            .collect();
        assert_eq!(given, expected);
        let mut folded: Vec<String> = given.iter().map(|(n, _)| n.to_lowercase()).collect();
        folded.sort();
        folded.dedup();
        assert_eq!(folded.len(), given.len(), "one stands twice");
    }

    #[test]
    fn names_that_would_clash_keep_their_own() {
        is(
            given(&["UserId", "user_id", "Other"], 63),
            &[
                ("UserId", Why::Clash),
                ("user_id", Why::Own),
                ("other", Why::Custom),
            ],
        );
        // their own differ in case only
        is(
            given(&["Users", "users"], 63),
            &[("users_2", Why::Numbered), ("users", Why::Own)],
        );
        is(
            given(&["K", "k", "k_2"], 63),
            &[("k_3", Why::Numbered), ("k", Why::Own), ("k_2", Why::Own)],
        );
    }

    #[test]
    fn names_fit_and_stay_apart_where_they_are_cut() {
        is(
            given(&["abcdefgh1", "abcdefgh2", "abcdefghi", "X"], 8),
            &[
                ("abcdefgh", Why::Cut),
                ("abcdef_2", Why::Numbered),
                ("abcdef_3", Why::Numbered),
                ("x", Why::Custom),
            ],
        );
        is(given(&["OrderNumberA"], 8), &[("order_nu", Why::Custom)]);
        is(given(&["order_number"], 8), &[("order_nu", Why::Cut)]);
    }
}
