//! `NumPy`'s format, version 1.0 (`numpy.lib.format`), with a text file of keys and labels beside it, one
//! line for each row.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::rows::{Rows, Sink, class_of, written};
use crate::files::Partial;

/// The bytes before the numbers.
const HEADER: usize = 128;

/// A file that is renamed into place when it is complete.
struct Output {
    partial: Partial,
    file: BufWriter<File>,
}

impl Output {
    fn create(path: &Path) -> io::Result<Self> {
        let partial = Partial::beside(path)?;
        let file = BufWriter::new(partial.create()?);
        Ok(Self { partial, file })
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.partial.finish()
    }
}

/// Writes the rows of one shard to `NAME.npy`, and to `NAME.tsv` a line for each row with key, label and, if
/// classes have names, the name of the class.
pub(super) struct Writer {
    path: PathBuf,
    numbers: Output,
    keys: Output,
    rows: usize,
    width: usize,
    class_names: Vec<String>,
}

impl Writer {
    pub(super) fn create(path: &Path, class_names: &[String]) -> Result<Self> {
        let create = |path: &Path| written(Output::create(path), path);
        let mut numbers = create(path)?;
        written(numbers.file.write_all(&[b' '; HEADER]), path)?; // filled in when the number of rows is known
        let keys = create(&path.with_extension("tsv"))?;
        let (path, class_names) = (path.to_owned(), class_names.to_vec());
        Ok(Self { path, numbers, keys, rows: 0, width: 0, class_names })
    }

    fn add(&mut self, rows: Rows) -> Result<()> {
        for value in &rows.values {
            self.numbers.file.write_all(&value.to_le_bytes())?;
        }
        let keys = &mut self.keys.file;
        for (key, label) in rows.keys.iter().zip(&rows.labels) {
            let key = on_a_line(key)?;
            match label {
                0.. => write!(keys, "{key}\t{label}")?,
                _ => write!(keys, "{key}\t")?,
            }
            if !self.class_names.is_empty() {
                let name = class_of(&self.class_names, *label).unwrap_or_default();
                write!(keys, "\t{}", on_a_line(name)?)?;
            }
            writeln!(keys)?;
        }
        self.rows += rows.keys.len();
        self.width = rows.width;
        Ok(())
    }

    /// Finishes the files. The numbers come last, since they mark the shard as done.
    fn end(mut self) -> Result<()> {
        self.numbers.file.flush()?;
        self.numbers.file.get_ref().write_all_at(&header(self.rows, self.width), 0)?;
        self.keys.finish()?;
        Ok(self.numbers.finish()?)
    }
}

impl Sink for Writer {
    fn write(&mut self, rows: Rows) -> Result<()> {
        let added = self.add(rows);
        written(added, &self.path)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let path = self.path.clone();
        written(self.end(), &path)
    }
}

/// Returns a key unchanged, or as a JSON string if it contains control characters or could be mistaken for a
/// JSON string.
fn on_a_line(key: &str) -> Result<Cow<'_, str>> {
    let is_plain =
        !key.contains(|c: char| c.is_control() || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}'));
    Ok(if is_plain { Cow::Borrowed(key) } else { Cow::Owned(serde_json::to_string(key)?) })
}

fn header(rows: usize, width: usize) -> [u8; HEADER] {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let mut header = [b' '; HEADER];
    header[..10].copy_from_slice(b"\x93NUMPY\x01\x00\x76\x00"); // 118 bytes follow
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[HEADER - 1] = b'\n';
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_takes_one_line_from_which_it_can_be_read_back() {
        for (key, line) in [
            ("cat/ä 1", "cat/ä 1"),
            ("a\nb\tc", r#""a\nb\tc""#),
            ("\"quoted\"", r#""\"quoted\"""#),
            ("back\\slash", r#""back\\slash""#),
        ] {
            assert_eq!(on_a_line(key).unwrap(), line);
            let back =
                if line.starts_with('"') { serde_json::from_str(line).unwrap() } else { line.to_owned() };
            assert_eq!(back, key);
        }
    }
}
