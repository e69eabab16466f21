//! LIKE: by characters, with `%` for any text and `_` for one character.

use crate::EvaluationError;

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece {
    Any,
    One,
    Literal(char),
}

impl Pattern {
    /// Takes a pattern apart.
    ///
    /// # Errors
    /// It ends with the escape character.
    pub(crate) fn new(pattern: &str, escape: Option<char>) -> Result<Self, EvaluationError> {
        let mut pieces = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            let piece = match c {
                _ if Some(c) == escape => {
                    Piece::Literal(characters.next().ok_or(EvaluationError::Argument)?)
                }
                '%' => Piece::Any,
                '_' => Piece::One,
                _ => Piece::Literal(c),
            };
            if piece != Piece::Any || pieces.last() != Some(&Piece::Any) {
                pieces.push(piece);
            }
        }
        Ok(Self(pieces))
    }

    /// Whether the whole text fits. Only the last `%` is ever tried again: what comes before it has matched already.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut rest, mut piece) = (text.chars(), 0);
        let mut again = None;
        loop {
            match self.0.get(piece) {
                Some(Piece::Any) => {
                    piece += 1;
                    again = Some((piece, rest.clone()));
                    continue;
                }
                Some(Piece::One) if rest.next().is_some() => {
                    piece += 1;
                    continue;
                }
                Some(Piece::Literal(c)) if rest.next() == Some(*c) => {
                    piece += 1;
                    continue;
                }
                None if rest.as_str().is_empty() => return true,
                _ => {}
            }
            let Some((behind, from)) = &mut again else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            piece = *behind;
            rest = from.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "_b_", true),
            ("abc", "ABC", false),
            ("äöü", "_ö_", true),
            ("ab%", "ab\\%", true),
            ("abc", "ab\\%", false),
            ("aXbXbXc", "a%Xb%c", true),
            ("aaab", "%aab", true),
            ("mississippi", "m%iss%ip%i", true),
            ("mississippi", "m%iss%ix%i", false),
        ] {
            let pattern = Pattern::new(pattern, Some('\\')).unwrap();
            assert_eq!(pattern.matches(text), expected, "{text} {pattern:?}");
        }
        assert!(Pattern::new("a\\", Some('\\')).is_err());
        assert!(Pattern::new("a\\", None).unwrap().matches("a\\"));
    }
}
