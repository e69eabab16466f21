//! Aligned columns.

/// Which side a column's text stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lines of aligned columns under a heading, indented by two.
pub fn text(heading: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows
            .iter()
            .filter_map(|r| r.get(index))
            .map(|c| c.chars().count());
        cells
            .chain(heading.get(index).map(|(h, _)| h.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &[String]| {
        let mut line = String::from(" ");
        for ((cell, (_, side)), width) in cells.iter().zip(heading).zip(&widths) {
            let cell: &str = cell;
            match side {
                Side::Left => line.push_str(&format!(" {cell:<width$} ")),
                Side::Right => line.push_str(&format!(" {cell:>width$} ")),
            }
        }
        line.trim_end().to_owned()
    };
    let names: Vec<String> = heading.iter().map(|(h, _)| (*h).to_owned()).collect();
    let mut lines = vec![line(&names)];
    lines.extend(rows.iter().map(|r| line(r)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![
            vec!["ä".to_owned(), "1".to_owned()],
            vec!["bcd".to_owned(), "1,000".to_owned()],
        ];
        let shown = text(&[("table", Side::Left), ("rows", Side::Right)], &rows);
        assert_eq!(shown, "  table   rows\n  ä          1\n  bcd    1,000");
    }
}
