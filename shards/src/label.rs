//! The class that a member gives its sample.

use std::borrow::Cow;

use crate::{
    json::{self, Document, Value},
    remark::RemarkKind,
    span::{LABEL_LIMIT, NO_LABEL},
};

/// The most bytes of a `cls` member, which is a number in text.
pub(crate) const CLASS_LIMIT: u64 = 64;
/// The most bytes of a `json` member that are read.
pub(crate) const JSON_LIMIT: u64 = 16 << 20;
/// The most characters of an invalid label that are shown.
const SHOWN: usize = 60;

/// The class that a member gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Label {
    /// The member gives none.
    #[default]
    Absent,
    /// The member says that the sample is unlabelled: −1.
    Unlabelled,
    Class(u32),
    Bad(Box<BadLabel>),
}

/// An invalid label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLabel {
    pub(crate) kind: RemarkKind,
    /// The label as stored, or the reason why it cannot be read.
    pub(crate) value: String,
}

impl Label {
    /// Parses a `cls` member.
    pub(crate) fn of_class(bytes: &[u8]) -> Self {
        let text = decode_marked(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes));
        let bad = || Self::bad(RemarkKind::BadClass, text.trim());
        integer(&text).map_or_else(bad, |value| Self::from_integer(value).unwrap_or_else(bad))
    }

    /// Parses a `json` member: its `label`, if it is an object that has one.
    pub(crate) fn of_json(bytes: &[u8]) -> Self {
        match json::document(&decode(bytes)) {
            Ok(Document::Object(None) | Document::Other(Value::List)) => Self::Absent,
            Ok(Document::Object(Some(value))) => Self::of_value(&value),
            Ok(Document::Other(_)) => Self::bad(RemarkKind::LabelJson, "it is not an object with a `label`"),
            Err(reason) => Self::bad(RemarkKind::LabelJson, reason),
        }
    }

    /// Makes an invalid label.
    pub(crate) fn bad(kind: RemarkKind, value: &str) -> Self {
        let mut shown: String = value.chars().take(SHOWN).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self::Bad(Box::new(BadLabel { kind, value: shown }))
    }

    /// Returns whether the member says anything.
    pub(crate) fn is_present(&self) -> bool {
        *self != Self::Absent
    }

    /// Returns the number that stands for it in an index.
    pub(crate) fn class(&self) -> u32 {
        if let Self::Class(class) = self { *class } else { NO_LABEL }
    }

    fn of_value(value: &Value<'_>) -> Self {
        let (kind, text) = match value {
            Value::Number(text) => match integer(text) {
                Some(number) => match Self::from_integer(number) {
                    Some(label) => return label,
                    None => (RemarkKind::LabelRange, (*text).to_owned()),
                },
                None => (RemarkKind::LabelFraction, (*text).to_owned()),
            },
            Value::Text(text) => match integer(text).and_then(Self::from_integer) {
                Some(label) => return label,
                None => (RemarkKind::LabelText, text.to_string()),
            },
            Value::NotFinite(text) => (RemarkKind::LabelFraction, (*text).to_owned()),
            Value::Bool(value) => (RemarkKind::LabelBool, value.to_string()),
            Value::Null => return Self::Unlabelled,
            Value::List => (RemarkKind::LabelStructure, "[…]".to_owned()),
            Value::Object => (RemarkKind::LabelStructure, "{…}".to_owned()),
        };
        Self::bad(kind, &text)
    }

    fn from_integer(value: i128) -> Option<Self> {
        match value {
            -1 => Some(Self::Unlabelled),
            value if (0..i128::from(LABEL_LIMIT)).contains(&value) => Some(Self::Class(value as u32)),
            _ => None,
        }
    }
}

/// Parses an integer with blanks around it, or a decimal number that is an integer, such as `3.0`. Numbers
/// beyond the range saturate, so that no label is made of them.
fn integer(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let value: f64 = text.parse().ok().filter(|_| is_decimal)?;
    (value.fract() == 0.0 || value.is_infinite()).then_some(value as i128)
}

/// Decodes text as Python's `json.loads` does: UTF-8, UTF-16 or UTF-32, recognized by the first bytes, with
/// or without a byte order mark. Invalid bytes become U+FFFD.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    decode_marked(bytes).unwrap_or_else(|| match *bytes {
        [0, 0, _, _, ..] => utf_32(bytes, true).into(),
        [_, 0, 0, 0, ..] => utf_32(bytes, false).into(),
        [0, _, _, _, ..] | [0, _] => utf_16(bytes, true).into(),
        [_, 0, _, _, ..] | [_, 0] => utf_16(bytes, false).into(),
        _ => String::from_utf8_lossy(bytes),
    })
}

/// Decodes text with a byte order mark; `None` if it has none.
fn decode_marked(bytes: &[u8]) -> Option<Cow<'_, str>> {
    match *bytes {
        [0, 0, 0xfe, 0xff, ..] | [0xff, 0xfe, 0, 0, ..] => Some(utf_32(&bytes[4..], bytes[0] == 0).into()),
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => Some(utf_16(&bytes[2..], bytes[0] == 0xfe).into()),
        [0xef, 0xbb, 0xbf, ..] => Some(String::from_utf8_lossy(&bytes[3..])),
        _ => None,
    }
}

fn utf_16(bytes: &[u8], is_big_endian: bool) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let unit = if is_big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units) + if rest.is_empty() { "" } else { "\u{fffd}" }
}

fn utf_32(bytes: &[u8], is_big_endian: bool) -> String {
    let (quads, rest) = bytes.as_chunks::<4>();
    let unit = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    let character = |quad: &[u8; 4]| char::from_u32(unit(*quad)).unwrap_or('\u{fffd}');
    quads.iter().map(character).chain((!rest.is_empty()).then_some('\u{fffd}')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(label: Label) -> RemarkKind {
        let Label::Bad(bad) = label else { panic!("{label:?} is valid") };
        bad.kind
    }

    #[test]
    fn a_class_is_read_however_its_number_is_written() {
        let utf_16 = |text: &str, mark: &[u8]| {
            mark.iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect::<Vec<u8>>()
        };
        let forms = [
            b"3".to_vec(),
            b" 3\n".to_vec(),
            b"3\r\n".to_vec(),
            b"\t3 \r\n\n".to_vec(),
            b"\xef\xbb\xbf3\r\n".to_vec(),
            b"+3".to_vec(),
            b"03".to_vec(),
            b"3.0".to_vec(),
            b"3.000e+00".to_vec(),
            utf_16("3\r\n", b"\xff\xfe"),
        ];
        for form in forms {
            assert_eq!(Label::of_class(&form), Label::Class(3), "{form:?}");
        }
        assert_eq!(Label::of_class(b"-1\n"), Label::Unlabelled);
        for bad in [
            "", " ", "\u{feff}", "dog", "3 4", "3\n4", "1.5", "-2", "1000000", "0x3", "nan", "inf", "3,",
            "1e400", "e",
        ] {
            assert_eq!(kind(Label::of_class(bad.as_bytes())), RemarkKind::BadClass, "{bad}");
        }
        // 51 in binary, as 2, 4 and 8 bytes of either order.
        for bad in [&b"3\0"[..], b"\x003", b"3\0\0\0", b"\0\0\x003", b"3\0\0\0\0\0\0\0"] {
            assert_eq!(kind(Label::of_class(bad)), RemarkKind::BadClass, "{bad:?}");
        }
    }

    #[test]
    fn a_label_in_json_is_an_integer_or_an_error_of_its_kind() {
        for value in ["3", "3.0", "30e-1", "\"3\"", "\" 03\\n\"", "\"3.0\""] {
            let text = format!("{{\"label\": {value}}}");
            assert_eq!(Label::of_json(text.as_bytes()), Label::Class(3), "{value}");
            let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
            assert_eq!(Label::of_json(&marked), Label::Class(3), "{value}");
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(Label::of_json(&wide), Label::Class(3), "{value}");
            let wider: Vec<u8> = text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
            assert_eq!(Label::of_json(&wider), Label::Class(3), "{value}");
        }
        for none in [&b"{\"label\": -1}"[..], b"{\"label\": null}", b"{\"label\": 3, \"label\": null}"] {
            assert_eq!(Label::of_json(none), Label::Unlabelled, "{none:?}");
        }
        for (value, expected) in [
            ("\"dog\"", RemarkKind::LabelText),
            ("\"\"", RemarkKind::LabelText),
            ("\"1000000\"", RemarkKind::LabelText),
            ("[3]", RemarkKind::LabelStructure),
            ("{\"label\": 3}", RemarkKind::LabelStructure),
            ("1.5", RemarkKind::LabelFraction),
            ("NaN", RemarkKind::LabelFraction),
            ("true", RemarkKind::LabelBool),
            ("-2", RemarkKind::LabelRange),
            ("1000000", RemarkKind::LabelRange),
            ("1e400", RemarkKind::LabelRange),
            ("3, \"label\": true", RemarkKind::LabelBool),
            ("3", RemarkKind::LabelJson),
        ] {
            let text = format!("{{\"label\": {value}}}");
            let text = if expected == RemarkKind::LabelJson { &text[..text.len() - 1] } else { &text };
            assert_eq!(kind(Label::of_json(text.as_bytes())), expected, "{text}");
        }
        for none in ["{}", "{\"meta\": {\"label\": 3}}", "[3]"] {
            assert_eq!(Label::of_json(none.as_bytes()), Label::Absent, "{none}");
        }
        assert_eq!(kind(Label::of_json(b"3")), RemarkKind::LabelJson);
    }

    #[test]
    fn a_long_label_is_shown_in_part() {
        let Label::Bad(bad) = Label::of_class(&[b'x'; 64]) else { panic!("a text is not a class") };
        assert_eq!(bad.value, format!("{}…", "x".repeat(60)));
    }
}
