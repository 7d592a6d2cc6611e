//! The stack machine that a pickle is a program of: its stack, its memo, and what its instructions are made of.

use std::{collections::HashMap, io::Read};

use anyhow::{Context, Result, bail, ensure};

use super::{text::check_name, value::Value};

/// Bytes that a text or a line may have.
pub(super) const LONGEST: u64 = 1 << 20;

pub(super) struct Machine<'a, R> {
    pub(super) stream: &'a mut R,
    pub(super) stack: Vec<Value>,
    /// Heights of the stack.
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
        self.stack.pop().context("the pickle takes a value where there is none")
    }

    /// The values since the last mark.
    pub(super) fn marked(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).context("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    /// A whole number of any length; what does not fit is told by its lowest bytes.
    pub(super) fn long(&mut self, length: u32) -> Result<Value> {
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

    pub(super) fn remember(&mut self, place: u32) -> Result<()> {
        let value = self.stack.last().context("there is nothing to remember")?.clone();
        self.memo.insert(place, value);
        Ok(())
    }

    pub(super) fn recall(&mut self, place: u32) -> Result<()> {
        let value = self.memo.get(&place).context("the pickle recalls what it never said")?;
        self.stack.push(value.clone());
        Ok(())
    }

    pub(super) fn container_of(&mut self, items: Vec<Value>) -> usize {
        self.containers.push(items);
        self.containers.len() - 1
    }

    pub(super) fn extend_list(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(&Value::List(place)) = self.stack.last() else {
            bail!("the pickle appends to what is no list")
        };
        self.containers[place].extend(items);
        Ok(())
    }

    pub(super) fn extend_dict(&mut self, pairs: Vec<Value>) -> Result<()> {
        ensure!(pairs.len().is_multiple_of(2), "a dictionary's last key has no value");
        let Some(&Value::Dict(place)) = self.stack.last() else {
            bail!("the pickle sets an item of what is no dictionary")
        };
        self.containers[place].extend(pairs);
        Ok(())
    }

    /// Up to the end of a line; bytes beyond ASCII are letters of Latin 1.
    pub(super) fn line(&mut self) -> Result<String> {
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

    pub(super) fn named(&mut self, name: String) -> Result<()> {
        check_name(&name)?;
        self.stack.push(Value::Named(name.into()));
        Ok(())
    }

    pub(super) fn call(&mut self) -> Result<()> {
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
