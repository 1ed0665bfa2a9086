//! Figures side by side as plain text: one row per figure, one column per run, the best marked.
//!
//! The mark is a `*`, so that it survives a pipe; colour is added only where the caller says that a
//! terminal reads it.

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times, errors, spread.
    Lower,
    /// Rates.
    Higher,
    /// Neither: nothing is marked.
    Neither,
}

/// One value and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The value that decides which is best.
    pub value: f64,
    /// The text that is shown.
    pub text: String,
}

/// Rows of figures under named columns.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    figure: String,
    better: Better,
    cells: Vec<Cell>,
}

const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

// === Cell ===

impl Cell {
    /// A value with so many digits after the point.
    pub fn number(value: f64, digits: usize) -> Self {
        Self { value, text: format!("{value:.digits$}") }
    }
}

// === Table ===

impl Table {
    /// An empty table with a column for each name.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a figure with one cell for each column.
    pub fn row(&mut self, figure: impl Into<String>, better: Better, cells: Vec<Cell>) {
        self.rows.push(Row { figure: figure.into(), better, cells });
    }

    /// The text, columns aligned to the right, a line for each figure.
    pub fn render(&self, colour: bool) -> String {
        let label = self.rows.iter().map(|row| width(&row.figure)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.column_width(column)).collect();
        let mut out = " ".repeat(label);
        for (name, width) in self.columns.iter().zip(&widths) {
            out += &pad(name, *width);
            out.push(' ');
        }
        end_line(&mut out);
        for row in &self.rows {
            out += &row.figure;
            out += &" ".repeat(label - width(&row.figure));
            for (cell, width) in row.cells.iter().zip(&widths) {
                out += &row.cell(cell, *width, colour);
            }
            end_line(&mut out);
        }
        out
    }

    /// The widest text of a column, with two spaces before it. The mark has a place of its own.
    fn column_width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.cells.get(column)).map(|cell| width(&cell.text));
        cells.chain([width(&self.columns[column])]).max().unwrap_or(0) + 2
    }
}

// === Row ===

impl Row {
    fn cell(&self, cell: &Cell, width: usize, colour: bool) -> String {
        let text = pad(&cell.text, width);
        match (self.is_best(cell), colour) {
            (true, true) => format!("{GREEN}{text}*{RESET}"),
            (true, false) => format!("{text}*"),
            (false, _) => format!("{text} "),
        }
    }

    /// Best of its row. Where all read alike none is, and what is no number is none either.
    fn is_best(&self, cell: &Cell) -> bool {
        if cell.value.is_nan() {
            return false;
        }
        let beaten_by = |other: &Cell| match self.better {
            Better::Lower => other.value < cell.value && other.text != cell.text,
            Better::Higher => other.value > cell.value && other.text != cell.text,
            Better::Neither => true,
        };
        let differ = self.cells.iter().any(|other| other.text != cell.text && !other.value.is_nan());
        differ && !self.cells.iter().any(beaten_by)
    }
}

fn pad(text: &str, to: usize) -> String {
    " ".repeat(to.saturating_sub(width(text))) + text
}

/// Characters, not bytes: `±` is one.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn end_line(out: &mut String) {
    out.truncate(out.trim_end().len());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["plain", "aware"]);
        table.row("ttft p99 (ms)", Better::Lower, vec![Cell::number(1234.5, 1), Cell::number(99.0, 1)]);
        table.row("hit rate", Better::Higher, vec![Cell::number(0.5, 2), Cell::number(0.5, 2)]);
        table.row("requests", Better::Neither, vec![Cell::number(10.0, 0), Cell::number(20.0, 0)]);
        table
    }

    #[test]
    fn columns_line_up_and_the_better_value_is_marked() {
        assert_eq!(
            table().render(false),
            "                plain   aware\n\
             ttft p99 (ms)  1234.5    99.0*\n\
             hit rate         0.50    0.50\n\
             requests           10      20\n"
        );
    }

    #[test]
    fn colour_changes_no_column() {
        let coloured = table().render(true);
        assert!(coloured.contains(GREEN));
        assert_eq!(coloured.replace(GREEN, "").replace(RESET, ""), table().render(false));
    }

    #[test]
    fn what_is_not_known_is_neither_better_nor_worse() {
        let mut table = Table::new(["a", "b"]);
        let unknown = Cell { value: f64::NAN, text: "-".to_owned() };
        table.row("x", Better::Lower, vec![Cell::number(1.0, 1), unknown]);
        assert!(!table.render(false).contains('*'), "{}", table.render(false));
    }

    #[test]
    fn equal_texts_are_not_marked() {
        let mut table = Table::new(["a", "b"]);
        table.row("x", Better::Lower, vec![Cell::number(1.001, 1), Cell::number(1.002, 1)]);
        assert!(!table.render(false).contains('*'));
    }
}
