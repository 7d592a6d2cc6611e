//! The instructions of a pickle.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

use super::{
    machine::{LONGEST, Machine},
    text::{check_name, unescaped, whole},
    value::{Pickle, Value},
};

/// Reads one pickle from a stream, up to the end of the pickle. The stream may continue after it.
pub(in crate::exchange::import) fn read(stream: &mut impl Read) -> Result<Pickle> {
    Machine::new(stream).run()
}

impl<R: Read> Machine<'_, R> {
    fn run(mut self) -> Result<Pickle> {
        loop {
            let [code] = self.bytes()?;
            if code == b'.' {
                return Ok(Pickle { root: self.pop()?, containers: self.containers });
            }
            let is_known = self.scalar(code)?
                || self.written_out(code)?
                || self.text(code)?
                || self.container(code)?
                || self.memory(code)?
                || self.function(code)?;
            ensure!(is_known, "the pickle has an instruction that no checkpoint needs (0x{code:02x})");
        }
    }

    /// Pushes a number or constant. Returns false if `code` is another instruction.
    fn scalar(&mut self, code: u8) -> Result<bool> {
        let value = match code {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            b'K' => Value::Int(u8::from_le_bytes(self.bytes()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            0x8a => {
                let [length] = self.bytes()?;
                self.long(length.into())?
            }
            0x8b => {
                let length = u32::from_le_bytes(self.bytes()?);
                self.long(length)?
            }
            b'G' => Value::Float(f64::from_be_bytes(self.bytes()?)),
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Pushes a number or text of protocol 0, which is one line of text. Returns false if `code` is another
    /// instruction.
    fn written_out(&mut self, code: u8) -> Result<bool> {
        if !matches!(code, b'I' | b'L' | b'F' | b'S' | b'V') {
            return Ok(false);
        }
        let line = self.line()?;
        let value = match (code, line.as_str()) {
            (b'I', "00") => Value::Bool(false),
            (b'I', "01") => Value::Bool(true),
            (b'I' | b'L', digits) => Value::Int(whole(digits.trim_end_matches('L'))?),
            (b'F', digits) => Value::Float(digits.parse().context("a number is malformed")?),
            (b'S', quoted) => {
                let inner = quoted.get(1..quoted.len().max(2) - 1).unwrap_or_default();
                Value::Text(unescaped(inner).into())
            }
            (_, text) => Value::Text(unescaped(text).into()),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Pushes a text or bytes with a length in front. Returns false if `code` is another instruction.
    fn text(&mut self, code: u8) -> Result<bool> {
        let length = match code {
            b'U' | b'C' | 0x8c => u64::from(u8::from_le_bytes(self.bytes()?)),
            b'T' | b'X' | b'B' => u64::from(u32::from_le_bytes(self.bytes()?)),
            0x8d | 0x8e | 0x96 => u64::from_le_bytes(self.bytes()?),
            _ => return Ok(false),
        };
        ensure!(length <= LONGEST, "a text has {length} bytes, more than the limit of {LONGEST}");
        let mut bytes = vec![0; length as usize];
        self.stream.read_exact(&mut bytes).context("the pickle ends early")?;
        self.stack.push(match (code, String::from_utf8(bytes)) {
            (b'C' | b'B' | 0x8e | 0x96, bytes) => Value::Bytes(
                bytes.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes).into(),
            ),
            (_, Ok(text)) => Value::Text(text.into()),
            (_, Err(error)) => Value::Bytes(error.into_bytes().into()), // a text of Python 2
        });
        Ok(true)
    }

    /// Makes or extends a tuple, list or dictionary. Returns false if `code` is another instruction.
    fn container(&mut self, code: u8) -> Result<bool> {
        match code {
            b'(' => self.marks.push(self.stack.len()),
            b')' => {
                let place = self.container_of(Vec::new());
                self.stack.push(Value::Tuple(place));
            }
            b']' | 0x8f => {
                let place = self.container_of(Vec::new());
                self.stack.push(Value::List(place));
            }
            b'}' => {
                let place = self.container_of(Vec::new());
                self.stack.push(Value::Dict(place));
            }
            b't' | b'l' | b'd' | 0x91 => {
                let items = self.marked()?;
                let place = self.container_of(items);
                self.stack.push(match code {
                    b't' => Value::Tuple(place),
                    b'd' => Value::Dict(place),
                    _ => Value::List(place),
                });
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let start = self
                    .stack
                    .len()
                    .checked_sub(count)
                    .context("a tuple takes more values than the stack has")?;
                let items = self.stack.split_off(start);
                let place = self.container_of(items);
                self.stack.push(Value::Tuple(place));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.extend_list(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend_dict(vec![key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.extend_dict(items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Stores or recalls a value, or reads the version. Returns false if `code` is another instruction.
    fn memory(&mut self, code: u8) -> Result<bool> {
        match code {
            0x80 => {
                let [version] = self.bytes()?;
                ensure!(version <= 5, "the pickle has the unknown protocol {version}");
            }
            0x95 => drop(self.bytes::<8>()?), // the length of the frame
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let value =
                    self.stack.last().context("the pickle repeats a value of an empty stack")?.clone();
                self.stack.push(value);
            }
            b'p' | b'g' => {
                let place = whole(&self.line()?)?;
                let place = u32::try_from(place).context("a place in the memo is out of range")?;
                if code == b'p' { self.remember(place)? } else { self.recall(place)? }
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'q' => {
                let [place] = self.bytes()?;
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.bytes()?);
                self.remember(place)?;
            }
            b'h' => {
                let [place] = self.bytes()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.bytes()?);
                self.recall(place)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Pushes the name of a function or class, or a call that is not carried out. Returns false if `code` is
    /// another instruction.
    fn function(&mut self, code: u8) -> Result<bool> {
        match code {
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.named(name)?;
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    bail!("the name of a function is not a text");
                };
                self.named(format!("{module}.{name}"))?;
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?; // keyword arguments, which no checkpoint has
                self.call()?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let what = self.pop()?;
                let place = self.container_of(vec![what]);
                self.stack.push(Value::Persistent(place));
            }
            b'P' => {
                let what = self.line()?;
                let what = self.spelled(&what)?;
                let place = self.container_of(vec![what]);
                self.stack.push(Value::Persistent(place));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Drops the state of an object, such as the versions of the modules of a state dict. The arguments of a command
    /// line, an `argparse.Namespace`, become a dictionary.
    ///
    /// # Errors
    ///
    /// If it says that a `NumPy` number has its bytes in reverse order.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let Some(Value::Call(function, arguments)) = self.stack.last() else { return Ok(()) };
        match state {
            Value::Tuple(place) => {
                let is_reversed = self.containers[place].get(1).and_then(Value::text) == Some(">");
                let is_number = &**function == "numpy.dtype";
                ensure!(!(is_number && is_reversed), "a number has its bytes in reverse order");
            }
            Value::Dict(_) if self.is_namespace(function, *arguments) => {
                self.pop()?;
                self.stack.push(state);
            }
            _ => (),
        }
        Ok(())
    }

    /// Returns whether a call makes an empty `argparse.Namespace`, as protocol 2 and later or earlier ones do.
    fn is_namespace(&self, function: &str, arguments: usize) -> bool {
        let class = match self.containers[arguments].first() {
            Some(Value::Named(class)) if function == "copy_reg._reconstructor" => class,
            _ => function,
        };
        class == "argparse.Namespace"
    }

    /// Reads a storage as protocol 0 writes it: `('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 3)`.
    fn spelled(&mut self, text: &str) -> Result<Value> {
        let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let words = inner.context("a storage is not described as `torch.save` describes it")?.split(", ");
        let mut items = Vec::new();
        for word in words {
            let quoted = |prefix: &str, suffix: &str| word.strip_prefix(prefix)?.strip_suffix(suffix);
            items.push(if let Some(class) = quoted("<class '", "'>") {
                check_name(class)?;
                Value::Named(class.into())
            } else if let Some(text) = quoted("'", "'") {
                Value::Text(text.into())
            } else {
                word.parse().map_or(Value::None, Value::Int)
            });
        }
        let place = self.container_of(items);
        Ok(Value::Tuple(place))
    }
}
