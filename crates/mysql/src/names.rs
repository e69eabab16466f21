//! Names and literals in SQL. Every session has `NO_BACKSLASH_ESCAPES` and `utf8mb4`: within a literal only the quote itself is
//! special.

/// What names of crossfade's own tables and triggers begin with.
pub(crate) const OWN_PREFIX: &str = "_crossfade_";

/// Characters of an identifier at most (MySQL documentation, "Identifier Length Limits").
const LONGEST: usize = 64;

/// A quoted identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quoted identifiers, parted by commas.
pub(crate) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(quote).collect();
    quoted.join(", ")
}

/// A text literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name cut to what the server keeps.
pub(crate) fn cut(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

/// `base` with an ending, cut so that the ending stays.
pub(crate) fn with_ending(base: &str, ending: &str) -> String {
    let room = LONGEST.saturating_sub(ending.chars().count());
    let head: String = base.chars().take(room).collect();
    format!("{head}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_their_quotes() {
        assert_eq!(quote("a`b"), "`a``b`");
        assert_eq!(literal("it's \\'"), "'it''s \\'''");
        assert_eq!(with_ending(&"é".repeat(70), "_key").chars().count(), 64);
    }
}
