//! Tables with aligned columns; colour sequences have no width.

/// Rows of cells.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(String, usize)>>,
}

impl Table {
    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.row_of(cells.into());
    }

    /// Adds a row with any number of cells.
    pub(crate) fn row_of(&mut self, cells: Vec<String>) {
        let measured = cells.into_iter().map(|cell| {
            let width = visible_width(&cell);
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

/// Returns the number of visible characters, outside of colour sequences.
fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut hidden = false;
    for c in text.chars() {
        match (hidden, c) {
            (false, '\u{1b}') => hidden = true,
            (true, 'm') => hidden = false,
            (true, _) => {}
            (false, _) => width += 1,
        }
    }
    width
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
