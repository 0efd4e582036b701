//! Columns of text.

use crate::escape;
use crate::output::{Line, Style};

/// A cell: its text and how it looks.
pub(crate) type Cell = (Style, String);

/// A plain cell.
pub(crate) fn plain(text: impl ToString) -> Cell {
    (Style::Plain, text.to_string())
}

/// A cell with a style.
pub(crate) fn styled(style: Style, text: impl ToString) -> Cell {
    (style, text.to_string())
}

/// The rows in aligned columns, two blanks between them, the header first.
pub(crate) fn lines(header: &[&str], rows: &[Vec<Cell>]) -> Vec<Line> {
    let width = |text: &str| escape::line(text).chars().count();
    let mut widths: Vec<usize> = header.iter().map(|name| width(name)).collect();
    for row in rows {
        for (column, (_, text)) in row.iter().enumerate() {
            if let Some(known) = widths.get_mut(column) {
                *known = (*known).max(width(text));
            }
        }
    }
    let row = |cells: &[Cell]| {
        let mut line = Line::new();
        for (column, (style, text)) in cells.iter().enumerate() {
            let last = column + 1 == cells.len();
            let pad = widths.get(column).map_or(0, |w| w.saturating_sub(width(text)));
            line = line.styled(*style, text.as_str());
            if !last {
                line = line.text(" ".repeat(pad + 2));
            }
        }
        line
    };
    let header: Vec<Cell> = header.iter().map(|name| styled(Style::Dim, name)).collect();
    std::iter::once(row(&header)).chain(rows.iter().map(|cells| row(cells))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec![plain("web-1"), plain("updated"), plain("x")],
            vec![plain("a\x1b"), plain("-"), plain("")],
        ];
        let shown: Vec<String> =
            lines(&["host", "status", "n"], &rows).iter().map(|l| l.render(false)).collect();
        assert_eq!(shown, ["host     status   n", "web-1    updated  x", "a\\u{1b}  -"]);
    }
}
