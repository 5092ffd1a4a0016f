//! Tables: columns aligned by their widest cell, two spaces between them, nothing at the ends of lines. A cell may have
//! a style, which takes no room.

use std::io::{self, Write};

/// Rows of cells under a header.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row, with a cell for each column.
    ///
    /// # Panics
    ///
    /// With another number of cells.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Whether there is only the header.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Writes it; `header` decorates the first line.
    ///
    /// # Errors
    ///
    /// What is written to does not take it.
    pub fn write(&self, out: &mut impl Write, header: impl Fn(&str) -> String) -> io::Result<()> {
        let mut widths = vec![0; self.rows[0].len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = visible(cell).max(*width);
            }
        }
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - visible(cell) + 2));
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

/// How many characters of a cell are seen: all but the escape sequences of styles. Names that are shown have no others.
fn visible(cell: &str) -> usize {
    let mut styled = false;
    let seen = |character: &char| {
        let begins = *character == '\x1b';
        let seen = !begins && !styled;
        styled = begins || (styled && *character != 'm');
        seen
    };
    cell.chars().filter(seen).count()
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
    #[test]
    fn styles_take_no_room() {
        let mut table = Table::new(&["OUTCOME", "N"]);
        table.row(vec!["\x1b[31mexited 1\x1b[39m".to_owned(), "1".to_owned()]);
        table.row(vec!["x".to_owned(), "2".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out, str::to_owned).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "OUTCOME   N\n\x1b[31mexited 1\x1b[39m  1\nx         2\n");
    }
}
