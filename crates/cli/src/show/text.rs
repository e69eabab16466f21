//! Text that somebody else wrote.

/// The text on one line, and nothing in it that a terminal obeys: control characters and marks that turn the direction of
/// writing are shown as escapes. What comes from a file that anybody may have made must not be able to draw over what this
/// program says about it.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(visible("Größe 'a'"), "Größe 'a'");
        assert_eq!(
            visible("a\nb\u{1b}[2J\r\u{9b}\u{202e}"),
            "a\\nb\\u{1b}[2J\\r\\u{9b}\\u{202e}"
        );
    }
}
