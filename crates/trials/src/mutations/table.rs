//! The table of all kinds and pairs.

use std::collections::BTreeMap;

/// Cells by kind and column.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    cells: BTreeMap<(String, String), String>,
    notes: Vec<String>,
}

/// Where a kind was not planted.
const NOTHING: &str = "-";

impl Table {
    /// Puts a word where a kind and a column meet.
    pub fn put(&mut self, kind: &str, column: &str, word: String) {
        if !self.columns.iter().any(|known| known == column) {
            self.columns.push(column.to_owned());
        }
        self.cells
            .insert((kind.to_owned(), column.to_owned()), word);
    }

    /// A line below the table, once.
    pub fn note(&mut self, line: String) {
        if !self.notes.contains(&line) {
            self.notes.push(line);
        }
    }

    /// The rows of these kinds as far as one was planted, and how often each word stands in each column.
    pub fn text<'a>(&self, kinds: impl Iterator<Item = &'a str>) -> String {
        let mut lines = vec![self.line("kind", |column| column.to_owned())];
        for kind in kinds {
            let word = |column: &str| self.cells.get(&(kind.to_owned(), column.to_owned()));
            if self.columns.iter().any(|column| word(column).is_some()) {
                lines.push(self.line(kind, |column| {
                    word(column).map_or_else(|| NOTHING.to_owned(), Clone::clone)
                }));
            }
        }
        lines.push(String::new());
        for column in &self.columns {
            lines.push(format!("{column}: {}", self.counts(column)));
        }
        lines.extend(self.notes.iter().cloned());
        lines.join("\n")
    }

    fn line(&self, first: &str, cell: impl Fn(&str) -> String) -> String {
        let kinds = self.cells.keys().map(|(kind, _)| kind.chars().count());
        let width = kinds.max().unwrap_or(0);
        let mut line = format!("{first:<width$}");
        for column in &self.columns {
            let width = self.width(column);
            line.push_str(&format!("  {:<width$}", cell(column)));
        }
        line.trim_end().to_owned()
    }

    fn width(&self, column: &str) -> usize {
        let of_column = self.cells.iter().filter(|((_, name), _)| name == column);
        let words = of_column.map(|(_, word)| word.chars().count());
        words.chain([column.chars().count()]).max().unwrap_or(0)
    }

    fn counts(&self, column: &str) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for ((_, name), word) in &self.cells {
            if name == column {
                let (head, _) = word.split_once(':').unwrap_or((word, ""));
                *counts.entry(head).or_default() += 1;
            }
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(word, times)| format!("{times} {word}"))
            .collect();
        counts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_their_order_and_are_counted() {
        let mut table = Table::default();
        table.put("second", "a", "found: case".to_owned());
        table.put("first", "a", "found".to_owned());
        table.put("first", "b", "MISSED".to_owned());
        let text = table.text(["first", "second", "third"].into_iter());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("first") && lines[1].ends_with("MISSED"));
        assert!(lines[2].starts_with("second") && lines[2].ends_with(NOTHING));
        assert!(!text.contains("third"));
        assert!(text.contains("a: 2 found") && text.contains("b: 1 MISSED"));
    }
}
