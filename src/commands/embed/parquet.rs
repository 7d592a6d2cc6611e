//! Apache Parquet: key, label, the class's name where classes have names, and embedding.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::rows::{Rows, Sink, class_of, written};
use crate::files::Partial;

/// A list of floats in the form that the format's specification gives for lists.
const EMBEDDING: &str = "required group embedding (LIST) { repeated group list { required float element; } }";

fn schema(has_class_names: bool) -> String {
    let class = if has_class_names { "optional binary class (STRING);" } else { "" };
    format!(
        "message embeddings {{ required binary key (STRING); optional int64 label; {class} {EMBEDDING} }}"
    )
}

/// Rows of one shard, written a few thousand at a time.
pub(super) struct Writer {
    path: PathBuf,
    partial: Partial,
    file: SerializedFileWriter<File>,
    waiting: Vec<Rows>,
    class_names: Vec<String>,
}

impl Writer {
    /// Rows of a row group.
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

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        let mut number = 0;
        while let Some(mut column) = group.next_column()? {
            for rows in &rows {
                match number {
                    0 => {
                        let keys: Vec<_> =
                            rows.keys.iter().map(|key| ByteArray::from(key.as_str())).collect();
                        column.typed::<ByteArrayType>().write_batch(&keys, None, None)?;
                    }
                    1 => {
                        let defined: Vec<i16> =
                            rows.labels.iter().map(|label| i16::from(*label >= 0)).collect();
                        let labels: Vec<_> =
                            rows.labels.iter().copied().filter(|label| *label >= 0).collect();
                        column.typed::<Int64Type>().write_batch(&labels, Some(&defined), None)?;
                    }
                    2 if !self.class_names.is_empty() => {
                        let names = rows.labels.iter().map(|&label| class_of(&self.class_names, label));
                        let defined: Vec<i16> = names.clone().map(|name| i16::from(name.is_some())).collect();
                        let names: Vec<_> = names.flatten().map(ByteArray::from).collect();
                        column.typed::<ByteArrayType>().write_batch(&names, Some(&defined), None)?;
                    }
                    _ => {
                        let defined = vec![1; rows.values.len()];
                        let repeated: Vec<i16> =
                            (0..rows.values.len()).map(|place| i16::from(place % rows.width != 0)).collect();
                        column.typed::<FloatType>().write_batch(
                            &rows.values,
                            Some(&defined),
                            Some(&repeated),
                        )?;
                    }
                }
            }
            column.close()?;
            number += 1;
        }
        group.close()?;
        Ok(())
    }
}

impl Writer {
    fn end(mut self) -> Result<()> {
        self.write_group()?;
        self.file.finish()?;
        Ok(self.partial.finish()?)
    }
}

/// Names the file, and what the library calls external by its own name.
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

    /// The rows of labels 1, none and 9, by the names of two classes.
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
    fn names_of_classes_are_a_column_of_their_own_where_they_are_known() {
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
