//! The values of a pickle.

use std::rc::Rc;

/// A value. Containers are indices into [`Pickle::containers`], so that dropping a deeply nested or cyclic
/// value is not recursive.
#[derive(Debug, Clone)]
pub(in crate::exchange::import) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    Tuple(usize),
    List(usize),
    /// A dictionary: keys and values in turn.
    Dict(usize),
    /// The name of a function or class.
    Named(Rc<str>),
    /// A function with its arguments. It is not called.
    Call(Rc<str>, usize),
    /// A reference to data outside of the pickle, such as a storage.
    Persistent(usize),
}

/// A value with the containers that it refers to.
#[derive(Debug)]
pub(in crate::exchange::import) struct Pickle {
    pub(in crate::exchange::import) root: Value,
    pub(super) containers: Vec<Vec<Value>>,
}

impl Value {
    pub(in crate::exchange::import) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(in crate::exchange::import) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Bool(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }
}

impl Pickle {
    /// Returns the items of a container or the arguments of a call; empty for other values.
    pub(in crate::exchange::import) fn items(&self, value: &Value) -> &[Value] {
        match value {
            Value::Tuple(place)
            | Value::List(place)
            | Value::Dict(place)
            | Value::Call(_, place)
            | Value::Persistent(place) => &self.containers[*place],
            _ => &[],
        }
    }

    /// Returns all references to data outside of the pickle.
    pub(in crate::exchange::import) fn persistent(&self) -> impl Iterator<Item = &Value> {
        let values = self.containers.iter().flatten().chain([&self.root]);
        values.filter(|value| matches!(value, Value::Persistent(_)))
    }

    /// Returns the keys and values of a dictionary; empty for other values.
    pub(in crate::exchange::import) fn pairs<'a>(
        &'a self,
        value: &Value,
    ) -> impl Iterator<Item = (&'a Value, &'a Value)> {
        let items = if let Value::Dict(_) = value { self.items(value) } else { &[] };
        items.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// Returns the value of a key of a dictionary.
    pub(in crate::exchange::import) fn get(&self, value: &Value, key: &str) -> Option<&Value> {
        self.pairs(value).find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    pub(in crate::exchange::import) fn ints(&self, value: &Value) -> Option<Vec<i64>> {
        let value = match value {
            // torch.Size((…)).
            Value::Call(_, _) => self.items(value).first()?,
            value => value,
        };
        matches!(value, Value::Tuple(_) | Value::List(_))
            .then(|| self.items(value).iter().map(Value::int).collect())
            .flatten()
    }

    /// Returns the whole number that `value` is, a Python or a `NumPy` one.
    pub(in crate::exchange::import) fn int(&self, value: &Value) -> Option<i64> {
        value.int().or_else(|| match self.scalar(value)? {
            Value::Int(number) => Some(number),
            _ => None,
        })
    }

    /// Returns the number that `value` is, a Python or a `NumPy` one, as f64.
    pub(in crate::exchange::import) fn float(&self, value: &Value) -> Option<f64> {
        match self.scalar(value).as_ref().unwrap_or(value) {
            Value::Float(number) => Some(*number),
            value => value.int().map(|number| number as f64),
        }
    }

    /// Reads a `NumPy` scalar, which is stored as its type and its bytes.
    fn scalar(&self, value: &Value) -> Option<Value> {
        let Value::Call(function, _) = value else { return None };
        let [dtype, bytes] = self.items(value) else { return None };
        if !function.ends_with(".multiarray.scalar") {
            return None;
        }
        let bytes: Vec<u8> = match bytes {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Text(text) => text.bytes().collect(), // written by Python 2
            // Protocols without bytes write a text with one character for each byte.
            encoded => self.items(encoded).first()?.text()?.chars().map(|letter| letter as u8).collect(),
        };
        let float = |number: f64| Some(Value::Float(number));
        let mut padded = [0; 8];
        padded.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        let (whole, unused) = (i64::from_le_bytes(padded), 64 - 8 * bytes.len() as u32);
        match self.items(dtype).first()?.text()? {
            "f8" => float(f64::from_le_bytes(padded)),
            "f4" => float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
            "i1" | "i2" | "i4" | "i8" if unused < 64 => Some(Value::Int(whole << unused >> unused)),
            "b1" | "u1" | "u2" | "u4" | "u8" => Some(Value::Int(whole)),
            _ => None,
        }
    }
}
