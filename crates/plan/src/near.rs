//! Names that were probably meant.

/// The edit distance of two names, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The candidates nearest to `name`, best first, at most three; none where nothing is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // bounded: names of tables and keys are short, and a longer one is not compared in full
    let fold = |s: &str| s.chars().take(128).collect::<String>().to_lowercase();
    let wanted = fold(name);
    let bare = |s: &str| s.rsplit('.').next().unwrap_or(s).to_owned();
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            let best = distance(&wanted, &other).min(distance(&bare(&wanted), &bare(&other)));
            (best <= 1 + wanted.chars().count() / 4).then_some((best, candidate))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let tables = ["public.orders", "public.customers", "public.stock"];
        assert_eq!(nearest("public.order", tables), ["public.orders"]);
        assert_eq!(nearest("Orders", tables), ["public.orders"]);
        assert_eq!(nearest("invoices", tables), Vec::<&str>::new());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
