//! The likely cause of two texts' or byte strings' difference.

use unicode_normalization::UnicodeNormalization;

use super::Cause;

/// The characters of the bytes 80 to 9F in Windows-1252 (Unicode Consortium, CP1252.TXT); unassigned ones as in ISO 8859-1.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The likely cause of two byte strings' difference.
pub(super) fn of_bytes(a: &[u8], b: &[u8]) -> Option<Cause> {
    if unpadded(a) == unpadded(b) {
        return Some(Cause::Padding);
    }
    let texts = (std::str::from_utf8(a).ok(), std::str::from_utf8(b).ok());
    if let (Some(a), Some(b)) = texts
        && a.nfc().eq(b.nfc())
    {
        return Some(Cause::Normalization);
    }
    let misread = |raw: &[u8], shown: Option<&str>| shown.is_some_and(|s| misread(raw, s));
    if misread(a, texts.1) || misread(b, texts.0) {
        return Some(Cause::Charset);
    }
    if let (Some(a), Some(b)) = texts {
        if replaced(a, b) || replaced(b, a) {
            return Some(Cause::Charset);
        }
        if lower(a).eq(lower(b)) {
            return Some(Cause::Case);
        }
    }
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    (!short.is_empty() && long.starts_with(short)).then_some(Cause::Truncation)
}

/// Without blanks and zero bytes at the end.
fn unpadded(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !matches!(b, b' ' | 0));
    bytes.get(..end.map_or(0, |at| at + 1)).unwrap_or_default()
}

fn lower(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

/// `shown` is what `raw` reads as in a character set of one byte a character.
fn misread(raw: &[u8], shown: &str) -> bool {
    let windows = |byte: u8| match byte {
        0x80..=0x9f => WINDOWS
            .get(usize::from(byte - 0x80))
            .copied()
            .unwrap_or('\u{fffd}'),
        _ => char::from(byte),
    };
    !raw.is_ascii()
        && (raw.iter().copied().map(char::from).eq(shown.chars())
            || raw.iter().copied().map(windows).eq(shown.chars()))
}

/// `shown` is `whole` with characters beyond ASCII replaced.
fn replaced(whole: &str, shown: &str) -> bool {
    let mut theirs = whole.chars();
    let mut ours = shown.chars();
    loop {
        match (theirs.next(), ours.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some('?' | '\u{fffd}' | '\u{1a}')) if !a.is_ascii() => {}
            _ => return false,
        }
    }
}
