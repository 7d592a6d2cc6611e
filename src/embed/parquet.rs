//! Apache Parquet: key, label and embedding.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::{Rows, Sink, partial};

/// A list of floats in the form that the format's specification gives for lists.
const SCHEMA: &str = "message embeddings {
    required binary key (STRING);
    optional int64 label;
    required group embedding (LIST) { repeated group list { required float element; } }
}";

/// Rows of one shard, written a few thousand at a time.
pub(super) struct Writer {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    waiting: Vec<Rows>,
}

impl Writer {
    /// Rows of a row group.
    const GROUP: usize = 4096;

    pub(super) fn create(path: &Path) -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .build();
        let file =
            File::create(partial(path)).with_context(|| format!("cannot write `{}`", path.display()))?;
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { path: path.to_owned(), file, waiting: Vec::new() })
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

impl Sink for Writer {
    fn write(&mut self, rows: Rows) -> Result<()> {
        self.waiting.push(rows);
        if self.waiting.iter().map(|rows| rows.keys.len()).sum::<usize>() >= Self::GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_group()?;
        self.file.finish()?;
        fs::rename(partial(&self.path), &self.path)?;
        Ok(())
    }
}
