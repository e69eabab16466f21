//! LIKE: `%` stands for any characters, `_` for one.

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Char(char),
}

impl Pattern {
    /// Takes a pattern apart; `None` where it ends with its escape.
    pub(crate) fn new(text: &str, escape: Option<char>) -> Option<Pattern> {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                c if Some(c) == escape => Piece::Char(chars.next()?),
                '%' => Piece::Any,
                '_' => Piece::One,
                c => Piece::Char(c),
            });
        }
        Some(Pattern(pieces))
    }

    /// Whether a text matches, as a whole. Linear in text and pattern but for their product.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece) = (0, 0);
        let mut last: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(piece) {
                Some(Piece::Any) => {
                    last = Some((piece, at));
                    piece += 1;
                    continue;
                }
                Some(Piece::One) => {
                    (at, piece) = (at + 1, piece + 1);
                    continue;
                }
                Some(Piece::Char(c)) if *c == text[at] => {
                    (at, piece) = (at + 1, piece + 1);
                    continue;
                }
                _ => {}
            }
            // the last `%` takes one character more
            let Some((any, taken)) = last else {
                return false;
            };
            last = Some((any, taken + 1));
            (at, piece) = (taken + 1, any + 1);
        }
        self.0[piece..].iter().all(|p| *p == Piece::Any)
    }
}
