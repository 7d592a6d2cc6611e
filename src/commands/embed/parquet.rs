//! Apache Parquet files with the columns key, label, class (if classes have names) and embedding.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::parser::parse_message_type,
};

use super::rows::{Rows, Sink, class_of, written};
use crate::files::Partial;

/// A list of floats, in the form that the specification prescribes for lists.
const EMBEDDING: &str = "required group embedding (LIST) { repeated group list { required float element; } }";

fn schema(has_class_names: bool) -> String {
    let class = if has_class_names { "optional binary class (STRING);" } else { "" };
    format!(
        "message embeddings {{ required binary key (STRING); optional int64 label; {class} {EMBEDDING} }}"
    )
}

/// Writes the rows of one shard, a few thousand at a time.
pub(super) struct Writer {
    path: PathBuf,
    partial: Partial,
    file: SerializedFileWriter<File>,
    waiting: Vec<Rows>,
    class_names: Vec<String>,
}

impl Writer {
    /// The number of rows in a row group.
    const GROUP: usize = 4096;

    pub(super) fn create(path: &Path, class_names: &[String]) -> Result<Self> {
        let schema = Arc::new(parse_message_type(&schema(!class_names.is_empty()))?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .build();
        let partial = written(Partial::beside(path), path)?;
        let file = written(partial.create(), path)?;
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        let (path, class_names) = (path.to_owned(), class_names.to_vec());
        Ok(Self { path, partial, file, waiting: Vec::new(), class_names })
    }

    /// Writes the waiting rows as a row group, column by column.
    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns = vec![Column::Key, Column::Label];
        columns.extend((!self.class_names.is_empty()).then_some(Column::Class));
        columns.push(Column::Embedding);
        let mut group = self.file.next_row_group()?;
        for column in columns {
            let mut writer = group.next_column()?.context("the schema has these columns")?;
            rows.iter().try_for_each(|rows| column.write(&mut writer, rows, &self.class_names))?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.write_group()?;
        self.file.finish()?;
        Ok(self.partial.finish()?)
    }
}

/// A column of the file.
#[derive(Debug, Clone, Copy)]
enum Column {
    Key,
    Label,
    Class,
    Embedding,
}

impl Column {
    /// Writes this column of `rows`. Optional values have a definition level of 1 where they are present;
    /// elements of a list have a repetition level of 0 where a list begins.
    fn write(self, writer: &mut SerializedColumnWriter<'_>, rows: &Rows, names: &[String]) -> Result<()> {
        let Rows { keys, labels, values, width } = rows;
        match self {
            Self::Key => {
                let keys: Vec<_> = keys.iter().map(|key| ByteArray::from(key.as_str())).collect();
                writer.typed::<ByteArrayType>().write_batch(&keys, None, None)?;
            }
            Self::Label => {
                let defined: Vec<i16> = labels.iter().map(|label| i16::from(*label >= 0)).collect();
                let labels: Vec<_> = labels.iter().copied().filter(|label| *label >= 0).collect();
                writer.typed::<Int64Type>().write_batch(&labels, Some(&defined), None)?;
            }
            Self::Class => {
                let names = labels.iter().map(|&label| class_of(names, label));
                let defined: Vec<i16> = names.clone().map(|name| i16::from(name.is_some())).collect();
                let names: Vec<_> = names.flatten().map(ByteArray::from).collect();
                writer.typed::<ByteArrayType>().write_batch(&names, Some(&defined), None)?;
            }
            Self::Embedding => {
                let defined = vec![1; values.len()];
                let repeated: Vec<_> = (0..values.len()).map(|at| i16::from(at % width != 0)).collect();
                writer.typed::<FloatType>().write_batch(values, Some(&defined), Some(&repeated))?;
            }
        }
        Ok(())
    }
}

/// Adds the file's path to an error, and unwraps errors that the library calls external.
fn named(result: Result<()>, path: &Path) -> Result<()> {
    let named = result.map_err(|error| match error.downcast() {
        Ok(ParquetError::External(source)) => anyhow::Error::from_boxed(source),
        Ok(error) => error.into(),
        Err(error) => error,
    });
    written(named, path)
}

impl Sink for Writer {
    fn write(&mut self, rows: Rows) -> Result<()> {
        self.waiting.push(rows);
        if self.waiting.iter().map(|rows| rows.keys.len()).sum::<usize>() >= Self::GROUP {
            let group = self.write_group();
            named(group, &self.path)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let path = self.path.clone();
        named(self.end(), &path)
    }
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };

    use super::*;

    /// Writes and reads rows with the labels 1, none and 9.
    fn rows(class_names: &[String]) -> Vec<parquet::record::Row> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.parquet");
        let mut writer = Box::new(Writer::create(&path, class_names).unwrap());
        let keys = ["a", "b", "c"].map(str::to_owned).to_vec();
        writer.write(Rows { keys, labels: vec![1, -1, 9], values: vec![0.5; 6], width: 2 }).unwrap();
        writer.finish().unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn known_class_names_are_a_column() {
        let rows_named = rows(&["ant".to_owned(), "bee".to_owned()]);
        let columns = |row: &parquet::record::Row| {
            row.get_column_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(columns(&rows_named[0]), ["key", "label", "class", "embedding"]);
        let classes: Vec<_> = rows_named.iter().map(|row| row.get_string(2).ok().cloned()).collect();
        assert_eq!(classes, [Some("bee".to_owned()), None, None]);
        assert_eq!(columns(&rows(&[])[0]), ["key", "label", "embedding"]);
    }
}
