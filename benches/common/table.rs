//! A table on stdout.

/// A table of name, value and unit that is printed row by row.
#[derive(Debug)]
pub struct Table {
    /// Length of the longest name so far, in characters.
    width: usize,
}

impl Table {
    /// Prints the title of a new table.
    pub fn new(title: &str) -> Self {
        println!("\n{title}");
        Self { width: 40 }
    }

    /// Prints one row.
    pub fn row(&mut self, name: &str, value: f64, unit: &str) {
        let digits = if value.abs() < 10.0 { 3 } else { usize::from(value.abs() < 1000.0) };
        self.width = self.width.max(name.chars().count());
        let width = self.width;
        println!("  {name:<width$} {value:>14.digits$} {unit}");
    }
}
