//! Tables with aligned columns; colour sequences have no width.

use anstream::adapter::strip_str;

/// Rows of cells.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(String, usize)>>,
}

impl Table {
    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        let measured = cells.into().into_iter().map(|cell| {
            let width = strip_str(&cell).map(|visible| visible.chars().count()).sum();
            (cell, width)
        });
        self.rows.push(measured.collect());
    }

    /// Returns the lines; columns are as wide as their widest cell, two spaces apart.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|(_, width)| *width).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<(String, usize)>| {
            let mut line = String::new();
            for ((cell, width), widest) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', widest - width + 2));
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_colour_and_without() {
        let mut table = Table::default();
        table.row(["a".to_owned(), "b".to_owned()]);
        table.row(["\u{1b}[31mlong\u{1b}[0m".to_owned(), "c".to_owned()]);
        assert_eq!(table.lines(), ["a     b", "\u{1b}[31mlong\u{1b}[0m  c"]);
    }
}
