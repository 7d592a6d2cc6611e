use super::*;

fn label(text: &str) -> Option<Value<'_>> {
    match document(text) {
        Ok(Document::Object(label)) => label,
        other => panic!("`{text}`: {other:?}"),
    }
}

#[test]
fn the_label_is_the_last_member_of_that_name_in_the_outermost_object() {
    let three = Some(Value::Number("3"));
    for text in [
        r#"{"label":3}"#,
        " \n{ \"label\" :\t3 , \"a\": [1, {}, []] } \r\n",
        r#"{"label": 9, "label": 3}"#,
        r#"{"similarity": NaN, "a": Infinity, "b": [-Infinity], "label": 3}"#,
        r#"{"a": {"label": 4}, "b": [{"label": 5}], "label": 3, "c": {"label": 6}}"#,
        r#"{"lab\u0065l": 3, "\"label\": 7": "\\"}"#,
        r#"{"label\n": 5, "label": 3}"#,
    ] {
        assert_eq!(label(text), three, "{text}");
    }
    for text in
        [r#"{"meta": {"label": 3}}"#, r#"{"labels": 3, "Label": 3}"#, r#"{"a": "\"label\": 3"}"#, "{}"]
    {
        assert_eq!(label(text), None, "{text}");
    }
}

#[test]
fn labels_of_all_kinds_are_recognized() {
    for (value, expected) in [
        (r#""dog""#, Value::Text("dog".into())),
        (r#""d\u006fg\t""#, Value::Text("dog\t".into())),
        (r#""\ud83d\ude00\ud83d""#, Value::Text("\u{1f600}\u{fffd}".into())),
        ("-1.5e+3", Value::Number("-1.5e+3")),
        ("NaN", Value::NotFinite("NaN")),
        ("-Infinity", Value::NotFinite("-Infinity")),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("null", Value::Null),
        ("[3]", Value::List),
        (r#"{"label": 3}"#, Value::Object),
    ] {
        assert_eq!(label(&format!(r#"{{"label": {value}, "a": 1}}"#)), Some(expected), "{value}");
    }
    assert_eq!(document("3"), Ok(Document::Other(Value::Number("3"))));
    assert_eq!(document("[{}]"), Ok(Document::Other(Value::List)));
}

#[test]
fn texts_that_python_refuses_are_refused() {
    for text in [
        "",
        " ",
        "{",
        "{\"label\": 3",
        "{\"label\": 3,}",
        "{\"label\" 3}",
        "{label: 3}",
        "{'label': 3}",
        "{\"label\": 03}",
        "{\"label\": 3}}",
        "{\"label\": 3} 4",
        "{\"label\": 3.}",
        "{\"label\": .3}",
        "{\"label\": +3}",
        "{\"label\": 3e}",
        "{\"a\": \"x\ty\", \"label\": 3}",
        "{\"a\": \"\\x41\"}",
        "{\"a\": \"\\u12g4\"}",
        "{\"a\": \"\\",
        "{\"a\": [1 2]}",
        "{\"a\": [1,]}",
        "{\"a\": nan}",
        "{\"a\": -}",
        "{\"a\": -Inf}",
        "{\"a\": tru}",
        "{\"a\"}",
        "{,}",
        "[}",
        "{]",
        "\u{feff}{}",
        "{\"a\": [}",
        "{\"a\": {]}",
        "{\"a\": 1 \"b\": 2}",
        "// note\n{}",
    ] {
        assert!(document(text).is_err(), "`{text}`");
    }
    assert!(document(&"[".repeat(1_000_000)).is_err(), "deep nesting does not exhaust the stack");
}

/// The pieces that random texts are made of.
const PIECES: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"label\"",
    "\"a\"",
    "3",
    "-1.5",
    "1e2",
    "0",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "\"\\u0041\\n\"",
    "\"x\ty\"",
    "\"\\q\"",
    "{\"label\":3,",
    "\"b\":[1,2]}",
    "\"label\":[],",
    "ü",
    "{}",
    "[]",
];

fn random_text(random: &mut u64) -> String {
    let mut text = String::new();
    for _ in 0..=*random % 9 {
        *random = crate::permutation::mix(*random, 11);
        text.push_str(PIECES[(*random >> 20) as usize % PIECES.len()]);
    }
    text
}

/// Returns whether both parsers found the same label.
fn is_same(found: Option<&Value>, expected: Option<&serde_json::Value>) -> bool {
    match (found, expected) {
        (Some(Value::Number(raw)), Some(serde_json::Value::Number(number))) => {
            raw.parse::<f64>().ok() == number.as_f64()
        }
        (Some(Value::Text(text)), Some(serde_json::Value::String(other))) => text == other,
        (Some(Value::Bool(value)), Some(serde_json::Value::Bool(other))) => value == other,
        (Some(Value::Null), Some(serde_json::Value::Null))
        | (Some(Value::List), Some(serde_json::Value::Array(_)))
        | (Some(Value::Object), Some(serde_json::Value::Object(_)))
        | (None, None) => true,
        _ => false,
    }
}

/// Texts made of random pieces.
#[test]
fn another_parser_accepts_the_same_texts_and_finds_the_same_label() {
    let (mut random, mut taken) = (1, 0);
    for _ in 0..200_000 {
        let text = random_text(&mut random);
        let found = document(&text);
        let Ok(expected) = serde_json::from_str::<serde_json::Value>(&text) else {
            assert!(found.is_err(), "`{text}`: {found:?}");
            continue;
        };
        taken += 1;
        let (Ok(Document::Object(value)), Some(object)) = (&found, expected.as_object()) else {
            assert!(matches!(found, Ok(Document::Other(_))) && !expected.is_object(), "`{text}`: {found:?}");
            continue;
        };
        assert!(is_same(value.as_ref(), object.get("label")), "`{text}`: {value:?}");
    }
    assert!(taken > 10_000, "only {taken} texts were JSON");
}
