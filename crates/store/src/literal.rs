//! Literals in default expressions as stores describe them: what several stores must take apart to say it in their own words.

/// The text of a literal after its opening quote, and what follows it; `None` where it has no end.
#[must_use]
pub fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('\'')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

/// Empty, or `::` and the name of a type.
#[must_use]
pub fn is_cast(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix("::").is_some_and(|name| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_ .\"[](),".contains(c))
        })
}

/// The text without parentheses around all of it. `(1) + (2)` begins and ends with some that are no pair.
#[must_use]
pub fn without_parentheses(mut text: &str) -> &str {
    while let Some(inner) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        if inner.contains(['(', ')']) {
            return text;
        }
        text = inner.trim();
    }
    text
}
