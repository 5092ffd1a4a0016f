//! Tables: columns aligned by their widest cell, two spaces between them, nothing at the ends of lines.

use std::io::{self, Write};

/// Rows of cells under a header.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Writes it; `header` decorates the first line.
    pub(crate) fn write(&self, out: &mut impl Write, header: impl Fn(&str) -> String) -> io::Result<()> {
        let mut widths = vec![0; self.rows[0].len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            let line = line.trim_end();
            if index == 0 {
                writeln!(out, "{}", header(line))?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(vec!["ünï-long".to_owned(), "1".to_owned()]);
        table.row(vec!["b".to_owned(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out, str::to_lowercase).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name      n\nünï-long  1\nb\n");
    }
}
