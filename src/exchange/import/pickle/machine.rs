//! The stack machine that runs a pickle: its stack, its memo and the operations of its instructions.

use std::{collections::HashMap, io::Read};

use anyhow::{Context, Result, bail, ensure};

use super::{text::check_name, value::Value};

/// The largest number of bytes of a text or line.
pub(super) const LONGEST: u64 = 1 << 20;

pub(super) struct Machine<'a, R> {
    pub(super) stream: &'a mut R,
    pub(super) stack: Vec<Value>,
    /// Heights of the stack at marks.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Value>,
    pub(super) containers: Vec<Vec<Value>>,
}

impl<'a, R: Read> Machine<'a, R> {
    pub(super) fn new(stream: &'a mut R) -> Self {
        Self { stream, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), containers: Vec::new() }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).context("the pickle ends early")?;
        Ok(bytes)
    }

    pub(super) fn pop(&mut self) -> Result<Value> {
        self.stack.pop().context("the pickle takes a value from an empty stack")
    }

    /// Takes the values since the last mark from the stack.
    pub(super) fn marked(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).context("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    /// Reads a whole number of `length` bytes. Only the lowest 64 bits are kept.
    pub(super) fn long(&mut self, length: u32) -> Result<Value> {
        ensure!(
            u64::from(length) <= LONGEST,
            "a number has {length} bytes, more than the limit of {LONGEST}"
        );
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

    pub(super) fn remember(&mut self, place: u32) -> Result<()> {
        let value = self.stack.last().context("the pickle stores a value of an empty stack")?.clone();
        self.memo.insert(place, value);
        Ok(())
    }

    pub(super) fn recall(&mut self, place: u32) -> Result<()> {
        let value = self.memo.get(&place).context("the pickle recalls a value that it never stored")?;
        self.stack.push(value.clone());
        Ok(())
    }

    pub(super) fn container_of(&mut self, items: Vec<Value>) -> usize {
        self.containers.push(items);
        self.containers.len() - 1
    }

    pub(super) fn extend_list(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(&Value::List(place)) = self.stack.last() else {
            bail!("the pickle appends to a value that is not a list")
        };
        self.containers[place].extend(items);
        Ok(())
    }

    pub(super) fn extend_dict(&mut self, pairs: Vec<Value>) -> Result<()> {
        ensure!(pairs.len().is_multiple_of(2), "the last key of a dictionary has no value");
        let Some(&Value::Dict(place)) = self.stack.last() else {
            bail!("the pickle sets an item of a value that is not a dictionary")
        };
        self.containers[place].extend(pairs);
        Ok(())
    }

    /// Reads a line without its end. Bytes beyond ASCII are read as Latin 1.
    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        loop {
            let [byte] = self.bytes()?;
            if byte == b'\n' {
                return Ok(line);
            }
            ensure!((line.len() as u64) < LONGEST, "a line is longer than {LONGEST} bytes");
            line.push(byte.into());
        }
    }

    pub(super) fn named(&mut self, name: String) -> Result<()> {
        check_name(&name)?;
        self.stack.push(Value::Named(name.into()));
        Ok(())
    }

    pub(super) fn call(&mut self) -> Result<()> {
        let (Value::Tuple(arguments), function) = (self.pop()?, self.pop()?) else {
            bail!("the pickle calls a value with something else than arguments");
        };
        let name = self.function_of(function).context("the pickle calls a value that is not a function")?;
        let value = if &*name == "collections.OrderedDict" {
            let pairs = self.pairs(arguments);
            Value::Dict(self.container_of(pairs))
        } else {
            Value::Call(name, arguments)
        };
        self.stack.push(value);
        Ok(())
    }

    /// Returns the name of a function or class. PyTorch before 1.6 refers to the class of a module with its
    /// source, as `('module', class, file, source)`.
    fn function_of(&self, value: Value) -> Option<std::rc::Rc<str>> {
        let place = match value {
            Value::Named(name) => return Some(name),
            Value::Persistent(place) => place,
            _ => return None,
        };
        let Some(Value::Tuple(described)) = self.containers[place].first() else { return None };
        match self.containers[*described].as_slice() {
            [Value::Text(tag), Value::Named(name), ..] if &**tag == "module" => Some(name.clone()),
            _ => None,
        }
    }

    /// Returns the keys and values, in turn, of the list of pairs that a dictionary is constructed from;
    /// empty if there is no list.
    pub(super) fn pairs(&self, arguments: usize) -> Vec<Value> {
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
