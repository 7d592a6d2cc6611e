//! A pickle's values, without running anything: names of functions stay names, and only those that tensors are made of are let
//! through.
//!
//! Of the protocols 2 and 3 what `torch.save` writes (opcodes: Python's `pickletools`). Readers that are kept up know the zip
//! files of today's `torch.save` alone, not the streams of 2019, in which the reference's checkpoints are.

use std::{collections::HashMap, io::Read, rc::Rc};

use anyhow::{Context, Result, bail, ensure};

/// A value. What a container holds lies in its [`Pickle`], so that neither nesting nor circles matter when it goes.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Tuple(usize),
    List(usize),
    /// Keys and values in turn.
    Dict(usize),
    /// A function or class by its name.
    Named(Rc<str>),
    /// What a function would make of its arguments.
    Call(Rc<str>, usize),
    /// What lies outside of the pickle.
    Persistent(usize),
}

/// A value with all that it holds.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) root: Value,
    containers: Vec<Vec<Value>>,
}

/// Functions and classes that tensors are made of, beside `torch.…Storage`.
const KNOWN: [&str; 3] =
    ["collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"];

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Bool(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        if let Self::Float(number) = self { Some(*number) } else { self.int().map(|number| number as f64) }
    }
}

impl Pickle {
    /// What a container, or the arguments of a call, hold; nothing of other values.
    pub(super) fn items(&self, value: &Value) -> &[Value] {
        match value {
            Value::Tuple(place)
            | Value::List(place)
            | Value::Dict(place)
            | Value::Call(_, place)
            | Value::Persistent(place) => &self.containers[*place],
            _ => &[],
        }
    }

    /// The keys and values of a dictionary; none of other values.
    pub(super) fn pairs<'a>(&'a self, value: &Value) -> impl Iterator<Item = (&'a Value, &'a Value)> {
        let items = if let Value::Dict(_) = value { self.items(value) } else { &[] };
        items.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// The value under a text of a dictionary.
    pub(super) fn get(&self, value: &Value, key: &str) -> Option<&Value> {
        self.pairs(value).find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    pub(super) fn ints(&self, value: &Value) -> Option<Vec<i64>> {
        matches!(value, Value::Tuple(_) | Value::List(_))
            .then(|| self.items(value).iter().map(Value::int).collect())
            .flatten()
    }
}

/// Reads one pickle, up to its end, from a stream that may go on behind it.
pub(super) fn read(stream: &mut impl Read) -> Result<Pickle> {
    Machine { stream, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), containers: Vec::new() }
        .run()
}

struct Machine<'a, R> {
    stream: &'a mut R,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    containers: Vec<Vec<Value>>,
}

impl<R: Read> Machine<'_, R> {
    fn run(mut self) -> Result<Pickle> {
        loop {
            let [code] = self.bytes()?;
            if code == b'.' {
                return Ok(Pickle { root: self.pop()?, containers: self.containers });
            }
            let is_known =
                self.scalar(code)? || self.container(code)? || self.memory(code)? || self.function(code)?;
            ensure!(is_known, "the pickle has an instruction that tensors need none of (0x{code:02x})");
        }
    }

    /// Numbers, texts and constants.
    fn scalar(&mut self, code: u8) -> Result<bool> {
        let value = match code {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            b'K' => Value::Int(u8::from_le_bytes(self.bytes()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            0x8a => self.long()?,
            b'G' => Value::Float(f64::from_be_bytes(self.bytes()?)),
            b'X' => {
                let length = u32::from_le_bytes(self.bytes()?);
                self.text(length)?
            }
            b'U' => {
                let [length] = self.bytes()?;
                self.text(length.into())?
            }
            _ => return Ok(false),
        };
        self.stack.push(value);
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
            b']' => {
                let place = self.container_of(Vec::new());
                self.stack.push(Value::List(place));
            }
            b'}' => {
                let place = self.container_of(Vec::new());
                self.stack.push(Value::Dict(place));
            }
            b't' => {
                let items = self.marked()?;
                let place = self.container_of(items);
                self.stack.push(Value::Tuple(place));
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
            b'e' => {
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
                ensure!(version <= 3, "a pickle of protocol {version}: `torch.save` writes 2");
            }
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
            b'c' => self.named()?,
            b'R' => self.call()?,
            // What is said of an object beyond its items, such as the versions of a state dict's modules.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let what = self.pop()?;
                let place = self.container_of(vec![what]);
                self.stack.push(Value::Persistent(place));
            }
            _ => return Ok(false),
        }
        Ok(true)
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
    fn long(&mut self) -> Result<Value> {
        let [length] = self.bytes()?;
        let mut number = 0i64;
        for place in 0..u32::from(length) {
            let [byte] = self.bytes()?;
            let last = place + 1 == u32::from(length);
            if place < 8 {
                number |= i64::from(byte) << (8 * place);
            }
            if last && place < 7 && byte >= 0x80 {
                number |= -1 << (8 * (place + 1));
            }
        }
        Ok(Value::Int(number))
    }

    fn text(&mut self, length: u32) -> Result<Value> {
        const MOST: u32 = 1 << 20;
        ensure!(length <= MOST, "a text of {length} bytes");
        let mut bytes = vec![0; length as usize];
        self.stream.read_exact(&mut bytes).context("the pickle ends early")?;
        Ok(Value::Text(String::from_utf8_lossy(&bytes).into()))
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

    fn line(&mut self) -> Result<String> {
        const MOST: usize = 1000;
        let mut line = Vec::new();
        loop {
            let [byte] = self.bytes()?;
            if byte == b'\n' {
                return String::from_utf8(line).context("a name that is no text");
            }
            ensure!(line.len() < MOST, "a name without end");
            line.push(byte);
        }
    }

    fn named(&mut self) -> Result<()> {
        let name = format!("{}.{}", self.line()?, self.line()?);
        let is_storage = name.starts_with("torch.") && name.ends_with("Storage");
        ensure!(
            is_storage || KNOWN.contains(&&*name),
            "the file wants to run `{name}`, which no tensor needs: nothing of it is run\n  hint: take checkpoints only from \
             sources that you trust; `torch.save` of tensors, numbers and texts alone is read"
        );
        self.stack.push(Value::Named(name.into()));
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let (Value::Tuple(arguments), Value::Named(name)) = (self.pop()?, self.pop()?) else {
            bail!("the pickle calls what is no function");
        };
        let value = if &*name == "collections.OrderedDict" {
            Value::Dict(self.container_of(Vec::new()))
        } else {
            Value::Call(name, arguments)
        };
        self.stack.push(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> Result<Pickle> {
        read(&mut &*bytes)
    }

    #[test]
    fn values_are_those_that_were_pickled() {
        // pickle.dumps({"a": (1, -2, 300, 70000), "b": [None, True, 2.5], "c": 2**40}, 2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00tq\x02X\x01\x00\x00\x00bq\x03]q\x04(N\x88G@\x04\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00cq\x05\x8a\x06\x00\x00\x00\x00\x00\x01u.";
        let found = value(bytes).unwrap();
        let get = |key| found.get(&found.root, key);
        assert_eq!(found.ints(get("a").unwrap()).unwrap(), [1, -2, 300, 70000]);
        assert_eq!(get("c").unwrap().int(), Some(1 << 40));
        let list = found.items(get("b").unwrap());
        assert!(matches!(list, [Value::None, Value::Bool(true), Value::Float(2.5)]), "{list:?}");
        assert!(get("d").is_none());
    }

    /// A million tuples, each in the next, and a list in itself.
    #[test]
    fn nesting_and_circles_do_no_harm() {
        let nested = [&b"\x80\x02N"[..], &vec![0x85; 1_000_000], b"."].concat();
        assert!(matches!(value(&nested).unwrap().root, Value::Tuple(_)));
        assert!(matches!(value(b"\x80\x02]q\x00h\x00a.").unwrap().root, Value::List(_)));
    }

    #[test]
    fn foreign_code_is_named_and_not_run() {
        // cos\nsystem\n(S'…' would run a command in Python.
        for bytes in [
            &b"cos\nsystem\n(X\x02\x00\x00\x00lstR."[..],
            b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        ] {
            let error = value(bytes).unwrap_err().to_string();
            assert!(error.contains("os.system") || error.contains("builtins.eval"), "{error}");
        }
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01tq\x02h\x02X\x01\x00\x00\x00bq\x03]q\x04(N\x88G@\x04\x00\x00\x00\x00\x00\x00eu.";
        for cut in 0..whole.len() {
            assert!(value(&whole[..cut]).is_err());
        }
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut bytes = whole.to_vec();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let place = (state >> 8) as usize % bytes.len();
                bytes[place] = (state >> 24) as u8;
            }
            let _ = value(&bytes);
        }
    }
}
