//! Writes state dicts, and checkpoints of the reference implementation, as `torch.save` does: a zip file of a
//! pickle of protocol 2 and a member for the bytes of each tensor.

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use anyhow::{Context, Result};
use safetensors::Dtype;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::part::Part;

/// A number in a dictionary.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Bool(bool),
    Int(u64),
    Float(f64),
}

/// A dictionary of numbers.
pub(super) type Numbers<'a> = [(&'a str, Number)];

/// Writes the dictionary `{model, hyperparams, cursor}` to an empty file.
pub(super) fn write(
    file: File,
    model: &[Part],
    hyperparams: &Numbers<'_>,
    cursor: &Numbers<'_>,
) -> Result<()> {
    zipped(file, &pickle(model, hyperparams, cursor)?, model)
}

/// Writes a state dict, the tensors by name, to an empty file.
pub(super) fn write_state(file: File, model: &[Part]) -> Result<()> {
    let mut pickle = Pickle(b"\x80\x02".to_vec());
    pickle.state(model)?;
    pickle.put(b".");
    zipped(file, &pickle.0, model)
}

/// Writes a pickle and the tensors that it refers to.
fn zipped(file: File, pickle: &[u8], model: &[Part]) -> Result<()> {
    let mut file = ZipWriter::new(BufWriter::new(file));
    let mut member = |name: &str, bytes: &[u8]| -> Result<()> {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        file.start_file(format!("archive/{name}"), stored.large_file(bytes.len() >= u32::MAX as usize))?;
        Ok(file.write_all(bytes)?)
    };
    member("data.pkl", pickle)?;
    member("byteorder", b"little")?;
    for (number, part) in model.iter().enumerate() {
        member(&format!("data/{number}"), &part.data)?;
    }
    member("version", b"3\n")?;
    file.finish()?.into_inner().context("cannot end the file")?;
    Ok(())
}

fn pickle(model: &[Part], hyperparams: &Numbers<'_>, cursor: &Numbers<'_>) -> Result<Vec<u8>> {
    let mut pickle = Pickle(b"\x80\x02}(".to_vec());
    pickle.text("model");
    pickle.state(model)?;
    for (name, numbers) in [("hyperparams", hyperparams), ("cursor", cursor)] {
        pickle.text(name);
        pickle.put(b"}(");
        for (name, number) in numbers {
            pickle.text(name);
            pickle.number(*number);
        }
        pickle.put(b"u");
    }
    pickle.put(b"u.");
    Ok(pickle.0)
}

/// A pickle under construction (opcodes: Python's `pickletools`).
struct Pickle(Vec<u8>);

impl Pickle {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.put(b"X");
        self.put(&(text.len() as u32).to_le_bytes());
        self.put(text.as_bytes());
    }

    fn number(&mut self, number: Number) {
        match number {
            Number::Bool(true) => self.put(b"\x88"),
            Number::Bool(false) => self.put(b"\x89"),
            Number::Int(number) => {
                self.put(b"\x8a\x09");
                self.put(&number.to_le_bytes());
                self.put(b"\0"); // the sign
            }
            Number::Float(number) => {
                self.put(b"G");
                self.put(&number.to_be_bytes());
            }
        }
    }

    /// Pushes an empty `OrderedDict`.
    fn ordered(&mut self) {
        self.put(b"ccollections\nOrderedDict\n)R");
    }

    /// Pushes the tensors by name.
    fn state(&mut self, model: &[Part]) -> Result<()> {
        self.ordered();
        self.put(b"(");
        for (number, part) in model.iter().enumerate() {
            self.text(&part.name);
            self.tensor(number, part)?;
        }
        self.put(b"u");
        Ok(())
    }

    fn numbers(&mut self, numbers: impl Iterator<Item = usize>) {
        self.put(b"(");
        numbers.for_each(|number| self.number(Number::Int(number as u64)));
        self.put(b"t");
    }

    fn tensor(&mut self, number: usize, part: &Part) -> Result<()> {
        let class = class_of(part.dtype).with_context(|| format!("`{}` is {:?}", part.name, part.dtype))?;
        let strides = (0..part.shape.len()).map(|axis| part.shape[axis + 1..].iter().product());
        self.put(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.put(format!("ctorch\n{class}\n").as_bytes());
        self.text(&number.to_string());
        self.text("cpu");
        self.number(Number::Int(part.shape.iter().product::<usize>() as u64));
        self.put(b"tQ");
        self.number(Number::Int(0));
        self.numbers(part.shape.iter().copied());
        self.numbers(strides);
        self.number(Number::Bool(false));
        self.ordered();
        self.put(b"tR");
        Ok(())
    }
}

fn class_of(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::F32 => "FloatStorage",
        Dtype::F64 => "DoubleStorage",
        Dtype::I64 => "LongStorage",
        Dtype::U8 => "ByteStorage",
        _ => return None,
    })
}
