//! An emulated terminal.

/// A row of the screen.
#[derive(Debug, Clone, Default)]
struct Row {
    text: Vec<char>,
    /// Whether the next row continues the line.
    is_wrapped: bool,
}

/// A terminal with any number of rows, which breaks its lines anew when its number of columns changes.
#[derive(Debug)]
pub(crate) struct Screen {
    columns: usize,
    rows: Vec<Row>,
    row: usize,
    column: usize,
    /// The lines that were erased.
    pub(crate) drawn_over: Vec<String>,
    /// The numbers of the styles that were set.
    pub(crate) styles: Vec<u32>,
}

impl Screen {
    pub(crate) fn new(columns: usize) -> Self {
        let (drawn_over, styles) = (Vec::new(), Vec::new());
        Self { columns, rows: vec![Row::default()], row: 0, column: 0, drawn_over, styles }
    }

    /// Shows the output of a program.
    pub(crate) fn show(&mut self, text: &str) {
        let mut left = text.chars();
        while let Some(letter) = left.next() {
            match letter {
                '\r' => self.column = 0,
                '\n' => self.down(),
                '\x1b' => {
                    assert_eq!(left.next(), Some('['), "no other sequences are used");
                    let mut numbers = String::new();
                    let end = left.find(|&letter| {
                        numbers.push(letter);
                        letter.is_ascii_alphabetic()
                    });
                    self.obey(numbers.trim_end_matches(char::is_alphabetic), end);
                }
                letter => self.put(letter),
            }
        }
    }

    fn put(&mut self, letter: char) {
        if self.column == self.columns {
            self.rows[self.row].is_wrapped = true;
            self.down();
            self.column = 0;
        }
        let text = &mut self.rows[self.row].text;
        while text.len() <= self.column {
            text.push(' ');
        }
        text[self.column] = letter;
        self.column += 1;
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Row::default());
        }
    }

    /// Changes the number of columns. The cursor stays behind the same letter.
    pub(crate) fn resize(&mut self, columns: usize) {
        let (old, cursor) = (std::mem::take(&mut self.rows), self.row);
        let (mut line, mut is_continued) = (Vec::new(), false);
        for (number, row) in old.into_iter().enumerate() {
            if !is_continued {
                self.rows.push(Row::default());
            }
            let begin = self.rows.len() - 1;
            if number == cursor {
                let at = line.len() + self.column;
                // A cursor behind the last column stays there until there is another letter.
                let row = at.saturating_sub(1) / columns;
                (self.row, self.column) = (begin + row, at - row * columns);
            }
            is_continued = row.is_wrapped;
            line.extend(row.text);
            if !is_continued {
                self.rows.pop();
                let pieces = line.chunks(columns).map(<[char]>::to_vec);
                let first = self.rows.len();
                self.rows.extend(pieces.map(|text| Row { text, is_wrapped: true }));
                if self.rows.len() == first {
                    self.rows.push(Row::default());
                }
                self.rows.last_mut().unwrap().is_wrapped = false;
                line.clear();
            }
        }
        self.columns = columns;
    }

    /// Erases everything behind the cursor, of this row only or of all rows.
    fn erase(&mut self, rows: usize) {
        let mut taken = String::new();
        for (number, row) in self.rows.iter_mut().enumerate().skip(self.row).take(rows) {
            let begin = if number == self.row { self.column.min(row.text.len()) } else { 0 };
            taken.extend(row.text.drain(begin..));
            row.is_wrapped = false;
        }
        if !taken.is_empty() {
            self.drawn_over.push(taken);
        }
    }

    /// Carries out an escape sequence.
    fn obey(&mut self, numbers: &str, command: Option<char>) {
        let number = numbers.parse().unwrap_or(0);
        match command {
            Some('m') => self.styles.extend(numbers.split(';').map(|number| number.parse().unwrap_or(0u32))),
            Some('K') if number == 0 => self.erase(1),
            Some('J') if number == 0 => self.erase(usize::MAX),
            Some('A') => self.row = self.row.saturating_sub(number.max(1)),
            other => panic!("unexpected escape sequence {numbers}{other:?}"),
        }
    }

    /// Returns the lines on the screen, with wrapped rows joined.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        for row in &self.rows {
            lines.last_mut().unwrap().extend(&row.text);
            if !row.is_wrapped {
                lines.push(String::new());
            }
        }
        lines.into_iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
    }
}
