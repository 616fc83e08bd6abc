//! Numbers in columns, for people and for programs.

use serde_json::{Map, Value, json};

/// Rows of cells under columns. The first column is set left, the others right.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(title: &str, columns: impl IntoIterator<Item = Column>) -> Self {
        Self { title: title.to_owned(), columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "{}: a cell for each column", self.title);
        self.rows.push(cells);
    }

    /// The table as text; the unit of a column stands below its name.
    pub fn text(&self) -> String {
        let heading = |part: fn(&Column) -> &String| self.columns.iter().map(part).cloned();
        let mut lines: Vec<Vec<String>> = vec![
            heading(|column| &column.name).collect(),
            heading(|column| &column.unit).collect(),
        ];
        lines.extend(self.rows.iter().map(|row| row.iter().map(Cell::text).collect()));
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
        let mut text = format!("\n{}\n\n", self.title);
        for (index, line) in lines.iter().enumerate() {
            let mut cells = line.iter().zip(&widths);
            let mut set = String::new();
            if let Some((cell, width)) = cells.next() {
                set += &format!("{cell:<width$}");
            }
            for (cell, width) in cells {
                set += &format!("  {cell:>width$}");
            }
            text += set.trim_end();
            text += "\n";
            if index == 1 {
                text += &format!("{rule}\n");
            }
        }
        text
    }

    /// The table as an object: its title, and a row each with its cells by column.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let cells = self.columns.iter().zip(row);
            cells.map(|(column, cell)| (column.key(), cell.json())).collect::<Map<_, _>>()
        });
        json!({ "title": self.title, "rows": rows.collect::<Vec<_>>() })
    }
}

/// What stands above cells.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    unit: String,
}

impl Column {
    /// The unit may be empty.
    pub fn new(name: &str, unit: &str) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned() }
    }

    fn key(&self) -> String {
        let Self { name, unit } = self;
        if unit.is_empty() { name.clone() } else { format!("{name} ({unit})") }
    }
}

/// What stands in a table.
#[derive(Clone, Debug)]
pub enum Cell {
    Number { value: f64, decimals: usize },
    Text(String),
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Number { value, decimals } => grouped(&format!("{value:.decimals$}")),
            Self::Text(text) => text.clone(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Number { value, .. } => json!(value),
            Self::Text(text) => json!(text),
        }
    }
}

/// A number, shown with so many decimals.
pub fn number(value: f64, decimals: usize) -> Cell {
    Cell::Number { value, decimals }
}

/// Words.
pub fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// Sets thousands apart.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut text = String::new();
    for (index, character) in number.char_indices() {
        let left = whole.saturating_sub(index);
        if index > 0 && left > 0 && left % 3 == 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(character);
    }
    text
}
