//! Shows a problem in a file at its place.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Something wrong at a place in a text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The bytes that it is about.
    #[serde(skip)]
    pub span: Range<usize>,
}

impl Problem {
    /// A problem at bytes of `text`.
    pub fn at(text: &str, span: Range<usize>, what: impl Into<String>) -> Problem {
        let start = floor(text, span.start);
        let end = floor(text, span.end.max(start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Problem {
            what: what.into(),
            fix: None,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span: start..end,
        }
    }

    /// With what to write instead.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Problem {
        self.fix = Some(fix.into());
        self
    }

    /// The problem with a picture of its place. Passwords in the text are masked.
    pub fn draw(&self, path: &str, text: &str) -> String {
        let masked = mask_secrets(text);
        let annotation = AnnotationKind::Primary.span(self.span.clone());
        let mut group = Level::ERROR.primary_title(self.what.as_str()).element(
            Snippet::source(masked.as_str())
                .path(path)
                .line_start(1)
                .annotation(annotation),
        );
        if let Some(fix) = &self.fix {
            group = group.element(Level::HELP.message(fix.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The text with every password in it replaced by `*`, byte for byte, so that places stay where they are. A password is what
/// stands between `:` and the last `@` of a URL's authority, or after `password=`. A `${VARIABLE}` stays.
pub fn mask_secrets(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (at, _) in text.match_indices("://") {
        mask_authority(text, at + 3, &mut bytes);
    }
    let lower = text.to_ascii_lowercase();
    for word in ["password", "passphrase"] {
        for (at, _) in lower.match_indices(word) {
            mask_assignment(text, at + word.len(), &mut bytes);
        }
    }
    // only whole runs between ASCII delimiters were overwritten, by ASCII
    String::from_utf8_lossy(&bytes).into_owned()
}

fn mask_authority(text: &str, start: usize, bytes: &mut [u8]) {
    let rest = &text[start..];
    let line = rest.find(['\n', '"', '\'', ' ']).unwrap_or(rest.len());
    let rest = &rest[..line];
    // a password that was not encoded may hold `/`: what comes before the last `@` counts
    let Some(at) = rest.rfind('@') else { return };
    let Some(colon) = rest[..at].find(':') else {
        return;
    };
    mask(text, start + colon + 1..start + at, bytes);
}

fn mask_assignment(text: &str, after: usize, bytes: &mut [u8]) {
    let rest = &text[after..];
    let value = rest.trim_start_matches([' ', '\t', '"', '\'']);
    let Some(value) = value.strip_prefix('=') else {
        return;
    };
    let value = value.trim_start_matches([' ', '\t', '"', '\'']);
    let start = text.len() - value.len();
    let length = value
        .find(['\n', '"', '\'', '&', '#'])
        .unwrap_or(value.len());
    mask(text, start..start + length, bytes);
}

fn mask(text: &str, range: Range<usize>, bytes: &mut [u8]) {
    let secret = &text[range.clone()];
    if secret.starts_with("${") && secret.ends_with('}') {
        return;
    }
    if let Some(part) = bytes.get_mut(range) {
        part.fill(b'*');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_and_places_stay() {
        let text = "url = \"postgres://app:geheim/ü@h:5432/d?x=1&password=abc\" # ü\npassword = \"hidden\"\n";
        let masked = mask_secrets(text);
        assert_eq!(masked.len(), text.len());
        for secret in ["geheim", "abc", "hidden"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(
            masked.contains("postgres://app:*********@h:5432/d?x=1&password=***\""),
            "{masked}"
        );
        let variable = "postgres://app:${PW}@h/d";
        assert_eq!(mask_secrets(variable), variable);
        assert_eq!(
            mask_secrets("postgres://app@h:5432/d"),
            "postgres://app@h:5432/d"
        );
    }

    #[test]
    fn a_place_is_counted_in_characters_and_never_splits_one() {
        let text = "a = 1\nü = \"é\"\n";
        let problem = Problem::at(text, 11..13, "x");
        assert_eq!((problem.line, problem.column), (2, 5));
        let beyond = Problem::at(text, 500..600, "x");
        assert_eq!(beyond.line, 3);
        assert!(
            Problem::at(text, 7..8, "x")
                .draw("f.toml", text)
                .contains("f.toml:2:1")
        );
    }
}
