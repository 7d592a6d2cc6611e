//! The member `label` of a JSON text, as Python's `json.loads` finds it.
//!
//! The dialect is JSON with `NaN`, `Infinity` and `-Infinity`; among members of one name the last one counts.
//! No tree is built: the text is checked, and the label's place kept.

use std::borrow::Cow;

/// A value, as far as labels are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number as written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// `NaN`, `Infinity` or `-Infinity`.
    NotFinite(&'a str),
    Bool(bool),
    Null,
    List,
    Object,
}

/// The content of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document<'a> {
    /// An object, with the value of its member `label` if it has one.
    Object(Option<Value<'a>>),
    /// Any other value.
    Other(Value<'a>),
}

/// Parses a JSON text.
///
/// # Errors
/// The text is not JSON: a clause about the text.
pub(crate) fn document(text: &str) -> Result<Document<'_>, &'static str> {
    let mut reader = Reader { text, at: 0 };
    reader.blanks();
    let document = match reader.peek() {
        None => return Err("it is empty"),
        Some(b'{') => Document::Object(reader.labelled()?),
        Some(_) => Document::Other(reader.value()?),
    };
    reader.blanks();
    if reader.at == text.len() { Ok(document) } else { Err("something follows its end") }
}

const CUT: &str = "it ends too early";
const NO_VALUE: &str = "a value in it is not JSON";
const NO_NAME: &str = "a member in it has no name in double quotes";
const NO_COLON: &str = "a colon is missing in it";
const NO_COMMA: &str = "a comma or a closing bracket is missing in it";
const CONTROL: &str = "a text in it holds a raw control character, such as a tab";
const ESCAPE: &str = "a text in it holds a backslash that escapes nothing";

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads an object and returns its last member `label`.
    fn labelled(&mut self) -> Result<Option<Value<'a>>, &'static str> {
        let mut label = None;
        self.at += 1;
        self.blanks();
        if self.take(b'}') {
            return Ok(None);
        }
        loop {
            let name = self.name()?;
            let value = self.value()?;
            if unescape(name) == "label" {
                label = Some(value);
            }
            self.blanks();
            if self.take(b'}') {
                return Ok(label);
            }
            self.comma()?;
        }
    }

    /// Reads a whole value. Open brackets are kept in a list rather than on the stack, which deep nesting
    /// could exhaust.
    fn value(&mut self) -> Result<Value<'a>, &'static str> {
        let value = self.begin()?;
        let mut open = match value {
            Value::Object => vec![b'}'],
            Value::List => vec![b']'],
            _ => return Ok(value),
        };
        let mut is_first = true;
        while let Some(&close) = open.last() {
            self.blanks();
            if self.take(close) {
                open.pop();
                is_first = false;
                continue;
            }
            if !is_first {
                self.comma()?;
            }
            if close == b'}' {
                self.name()?;
            }
            let inner = self.begin()?;
            is_first = matches!(inner, Value::Object | Value::List);
            match inner {
                Value::Object => open.push(b'}'),
                Value::List => open.push(b']'),
                _ => {}
            }
        }
        Ok(value)
    }

    /// Reads a scalar, or the opening bracket of a list or object.
    fn begin(&mut self) -> Result<Value<'a>, &'static str> {
        self.blanks();
        let literals = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
            ("{", Value::Object),
            ("[", Value::List),
            ("NaN", Value::NotFinite("NaN")),
            ("Infinity", Value::NotFinite("Infinity")),
            ("-Infinity", Value::NotFinite("-Infinity")),
        ];
        match self.peek().ok_or(CUT)? {
            b'"' => Ok(Value::Text(unescape(self.string()?))),
            b'0'..=b'9' => self.number(),
            b'-' if !self.rest().starts_with("-I") => self.number(),
            _ => {
                let rest = self.rest();
                let (literal, value) =
                    literals.into_iter().find(|(literal, _)| rest.starts_with(literal)).ok_or(NO_VALUE)?;
                self.at += literal.len();
                Ok(value)
            }
        }
    }

    /// Reads the name of a member and the colon after it.
    fn name(&mut self) -> Result<&'a str, &'static str> {
        self.blanks();
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(NO_NAME),
            None => return Err(CUT),
        }
        let name = self.string()?;
        self.blanks();
        if self.take(b':') { Ok(name) } else { Err(self.missing(NO_COLON)) }
    }

    fn comma(&mut self) -> Result<(), &'static str> {
        self.blanks();
        if self.take(b',') { Ok(()) } else { Err(self.missing(NO_COMMA)) }
    }

    /// Reads a string; returns the checked text between the quotes, still escaped.
    fn string(&mut self) -> Result<&'a str, &'static str> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek().ok_or(CUT)? {
                b'"' => break,
                b'\\' => self.escape()?,
                ..0x20 => return Err(CONTROL),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(&self.text[start..self.at - 1])
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        match rest.first().ok_or(CUT)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' if rest.len() < 5 => return Err(CUT),
            b'u' if rest[1..5].iter().all(u8::is_ascii_hexdigit) => self.at += 6,
            _ => return Err(ESCAPE),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'a>, &'static str> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.missing(NO_VALUE));
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(self.missing(NO_VALUE));
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.missing(NO_VALUE));
            }
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    /// Skips digits and returns their number.
    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns `reason`, or that the text ended.
    fn missing(&self, reason: &'static str) -> &'static str {
        if self.at >= self.text.len() { CUT } else { reason }
    }
}

/// Resolves the escapes of a checked text. Unpaired surrogates become U+FFFD.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut units: Vec<u16> = Vec::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(character) = rest.next() {
        let unit = match (character, if character == '\\' { rest.next() } else { None }) {
            ('\\', Some('u')) => {
                let digits = rest.as_str().get(..4).unwrap_or_default();
                rest = rest.as_str().get(4..).unwrap_or_default().chars();
                u16::from_str_radix(digits, 16).unwrap_or(0xfffd)
            }
            ('\\', Some('b')) => 8,
            ('\\', Some('f')) => 12,
            ('\\', Some('n')) => 10,
            ('\\', Some('r')) => 13,
            ('\\', Some('t')) => 9,
            ('\\', Some(other)) => other as u16,
            (character, _) => {
                units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
                continue;
            }
        };
        units.push(unit);
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests;
