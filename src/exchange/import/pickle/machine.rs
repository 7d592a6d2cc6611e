//! The stack machine that a pickle is a program of.

use std::{collections::HashMap, io::Read};

use anyhow::{Context, Result, bail, ensure};

use super::value::{Pickle, Value};

use crate::failure;

/// Functions and classes that tensors and numbers are made of, beside `torch.…Storage`.
const KNOWN: [&str; 9] = [
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "_codecs.encode",
];

/// Bytes that a text or a line may have.
const LONGEST: u64 = 1 << 20;

/// Reads one pickle, up to its end, from a stream that may go on behind it.
pub(in crate::exchange::import) fn read(stream: &mut impl Read) -> Result<Pickle> {
    Machine::new(stream).run()
}

struct Machine<'a, R> {
    stream: &'a mut R,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    containers: Vec<Vec<Value>>,
}

impl<'a, R: Read> Machine<'a, R> {
    fn new(stream: &'a mut R) -> Self {
        Self { stream, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), containers: Vec::new() }
    }

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
            ensure!(is_known, "the pickle has an instruction that tensors need none of (0x{code:02x})");
        }
    }

    /// Numbers and constants.
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

    /// Numbers and texts of protocol 0: a line of letters each.
    fn written_out(&mut self, code: u8) -> Result<bool> {
        if !matches!(code, b'I' | b'L' | b'F' | b'S' | b'V') {
            return Ok(false);
        }
        let line = self.line()?;
        let value = match (code, line.as_str()) {
            (b'I', "00") => Value::Bool(false),
            (b'I', "01") => Value::Bool(true),
            (b'I' | b'L', digits) => Value::Int(whole(digits.trim_end_matches('L'))?),
            (b'F', digits) => Value::Float(digits.parse().context("a number that is none")?),
            (b'S', quoted) => {
                let inner = quoted.get(1..quoted.len().max(2) - 1).unwrap_or_default();
                Value::Text(unescaped(inner).into())
            }
            (_, text) => Value::Text(unescaped(text).into()),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Texts and bytes, each after its length.
    fn text(&mut self, code: u8) -> Result<bool> {
        let length = match code {
            b'U' | b'C' | 0x8c => u64::from(u8::from_le_bytes(self.bytes()?)),
            b'T' | b'X' | b'B' => u64::from(u32::from_le_bytes(self.bytes()?)),
            0x8d | 0x8e | 0x96 => u64::from_le_bytes(self.bytes()?),
            _ => return Ok(false),
        };
        ensure!(length <= LONGEST, "a text of {length} bytes");
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

    /// Tuples, lists and dictionaries.
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
                let start = self.stack.len().checked_sub(count).context("a tuple of nothing")?;
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

    /// Values that are used again, and the version in front.
    fn memory(&mut self, code: u8) -> Result<bool> {
        match code {
            0x80 => {
                let [version] = self.bytes()?;
                ensure!(version <= 5, "a pickle of protocol {version}, which is none");
            }
            0x95 => drop(self.bytes::<8>()?), // how much comes next
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let value = self.stack.last().context("there is nothing to repeat")?.clone();
                self.stack.push(value);
            }
            b'p' | b'g' => {
                let place = whole(&self.line()?)?;
                let place = u32::try_from(place).context("a place that is none")?;
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

    /// Functions and classes by name, and what would be made by them.
    fn function(&mut self, code: u8) -> Result<bool> {
        match code {
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.named(name)?;
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    bail!("the pickle names a function by what is no text");
                };
                self.named(format!("{module}.{name}"))?;
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?; // arguments by name, of which tensors have none
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

    /// What is said of an object beyond its items, such as the versions of a state dict's modules, is of no use, but for the order of
    /// a number's bytes.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let (Some(Value::Call(function, _)), Value::Tuple(place)) = (self.stack.last(), state) else {
            return Ok(());
        };
        let is_reversed = self.containers[place].get(1).and_then(Value::text) == Some(">");
        ensure!(!(&**function == "numpy.dtype" && is_reversed), "a number whose bytes are in reverse order");
        Ok(())
    }

    /// A storage as protocol 0 spells it: `('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 3)`.
    fn spelled(&mut self, text: &str) -> Result<Value> {
        let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let words =
            inner.context("what lies outside of the pickle is not said as `torch.save` does")?.split(", ");
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

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).context("the pickle ends early")?;
        Ok(bytes)
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().context("the pickle takes a value where there is none")
    }

    /// The values since the last mark.
    fn marked(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).context("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    /// A whole number of any length; what does not fit is told by its lowest bytes.
    fn long(&mut self, length: u32) -> Result<Value> {
        ensure!(u64::from(length) <= LONGEST, "a number of {length} bytes");
        let mut number = 0i64;
        for place in 0..length {
            let [byte] = self.bytes()?;
            let last = place + 1 == length;
            if place < 8 {
                number |= i64::from(byte) << (8 * place);
            }
            if last && place < 7 && byte >= 0x80 {
                number |= -1 << (8 * (place + 1));
            }
        }
        Ok(Value::Int(number))
    }

    fn remember(&mut self, place: u32) -> Result<()> {
        let value = self.stack.last().context("there is nothing to remember")?.clone();
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<()> {
        let value = self.memo.get(&place).context("the pickle recalls what it never said")?;
        self.stack.push(value.clone());
        Ok(())
    }

    fn container_of(&mut self, items: Vec<Value>) -> usize {
        self.containers.push(items);
        self.containers.len() - 1
    }

    fn extend_list(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(&Value::List(place)) = self.stack.last() else {
            bail!("the pickle appends to what is no list")
        };
        self.containers[place].extend(items);
        Ok(())
    }

    fn extend_dict(&mut self, pairs: Vec<Value>) -> Result<()> {
        ensure!(pairs.len().is_multiple_of(2), "a dictionary's last key has no value");
        let Some(&Value::Dict(place)) = self.stack.last() else {
            bail!("the pickle sets an item of what is no dictionary")
        };
        self.containers[place].extend(pairs);
        Ok(())
    }

    /// Up to the end of a line; bytes beyond ASCII are letters of Latin 1.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        loop {
            let [byte] = self.bytes()?;
            if byte == b'\n' {
                return Ok(line);
            }
            ensure!((line.len() as u64) < LONGEST, "a line without end");
            line.push(byte.into());
        }
    }

    fn named(&mut self, name: String) -> Result<()> {
        check_name(&name)?;
        self.stack.push(Value::Named(name.into()));
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let (Value::Tuple(arguments), Value::Named(name)) = (self.pop()?, self.pop()?) else {
            bail!("the pickle calls what is no function");
        };
        let value = if &*name == "collections.OrderedDict" {
            let pairs = self.pairs(arguments);
            Value::Dict(self.container_of(pairs))
        } else {
            Value::Call(name, arguments)
        };
        self.stack.push(value);
        Ok(())
    }

    /// The keys and values in the list that a dictionary is made of, where there is one.
    fn pairs(&self, arguments: usize) -> Vec<Value> {
        let Some(Value::List(list)) = self.containers[arguments].first() else { return Vec::new() };
        let pair = |value: &Value| match value {
            Value::List(place) | Value::Tuple(place) if self.containers[*place].len() == 2 => {
                self.containers[*place].clone()
            }
            _ => Vec::new(),
        };
        self.containers[*list].iter().flat_map(pair).collect()
    }
}

/// Refuses a function or class that no tensor needs.
fn check_name(name: &str) -> Result<()> {
    let is_storage = name.starts_with("torch.") && name.ends_with("Storage");
    if is_storage || KNOWN.contains(&name) {
        return Ok(());
    }
    Err(failure!(
        "the file asks to run `{name}`, which no tensor needs; nothing was run";
        "take checkpoints only from sources that you trust, saved by `torch.save` with tensors, numbers and texts alone"
    ))
}

/// A whole number of any length by its digits; what does not fit is told by its lowest bytes.
fn whole(digits: &str) -> Result<i64> {
    let (is_negative, digits) = digits.strip_prefix('-').map_or((false, digits), |digits| (true, digits));
    ensure!(
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()),
        "a number that is none"
    );
    let add = |number: i64, digit: u8| number.wrapping_mul(10).wrapping_add((digit - b'0').into());
    let number = digits.bytes().fold(0, add);
    Ok(if is_negative { number.wrapping_neg() } else { number })
}

/// A text with `\uXXXX` and the like as letters.
fn unescaped(text: &str) -> String {
    let mut letters = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        letters.push_str(before);
        let kind = after.chars().next();
        let digits = match kind {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let code = after.get(1..=digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (letter, length) = match (code.and_then(char::from_u32), kind) {
            (Some(letter), _) => (letter, 1 + digits),
            (None, Some('n')) => ('\n', 1),
            (None, Some('r')) => ('\r', 1),
            (None, Some('t')) => ('\t', 1),
            (None, Some(other)) => (other, other.len_utf8()),
            (None, None) => ('\\', 0),
        };
        letters.push(letter);
        rest = &after[length..];
    }
    letters + rest
}
