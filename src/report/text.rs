//! Text for the page: the one function that escapes what comes from outside, and numbers in words.

use std::fmt::Write as _;

use indicatif::HumanCount;
use jiff::Timestamp;

/// Escapes a text for the content of an element or of a quoted attribute. Everything from outside (keys, paths, class
/// names, settings, errors) goes through this function. Control characters and those that change the direction of the
/// text around them become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            char if char.is_control() && char != '\n' => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Returns an escaped text in an element that keeps its direction of writing to itself.
pub(super) fn isolated(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

/// Returns JSON that can stand in a `<script>` element.
pub(super) fn json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// Formats a whole number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Formats a number with some four digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "not finite".to_owned(),
        0.0 => "0".to_owned(),
        _ if size >= 10_000.0 => {
            format!("{}{}", if value < 0.0 { "−" } else { "" }, grouped(size.round() as u64))
        }
        _ if size >= 100.0 => trimmed(format!("{value:.1}")),
        _ if size >= 10.0 => trimmed(format!("{value:.2}")),
        _ if size >= 0.01 => trimmed(format!("{value:.3}")),
        _ if size >= 0.001 => trimmed(format!("{value:.4}")),
        _ => {
            let text = format!("{value:.2e}");
            let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{}e{power}", trimmed(digits.to_owned()))
        }
    }
}

/// Removes zeros at the end of a decimal fraction.
fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Formats a share from 0 to 1 as per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// Rounds to six significant digits, which the page stores.
pub(super) fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Formats seconds as the two largest units.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(3);
    let mut text = format!("{} {}", seconds / units[first].0, units[first].1);
    if let Some((size, name)) = units.get(first + 1).filter(|(size, _)| seconds % units[first].0 >= *size) {
        let _ = write!(text, " {} {name}", seconds % units[first].0 / size);
    }
    text
}

/// Formats a time in UTC.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns the singular or the plural of a word with its number.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_leave_its_place() {
        let hostile = "</script><img onerror='x' src=\"y\">&\u{202e}\u{0}😀";
        let escaped = escape(hostile);
        assert_eq!(
            escaped,
            "&lt;/script&gt;&lt;img onerror=&#39;x&#39; src=&quot;y&quot;&gt;&amp;\u{fffd}\u{fffd}😀"
        );
        assert!(!json(&serde_json::json!([hostile])).contains('<'));
    }

    #[test]
    fn numbers_are_short_and_keep_their_meaning() {
        let texts = [0.0, 18.4391, 0.0015, 0.000_21, 1234.56, 123_456.0, -20_000.0, f64::NAN].map(number);
        assert_eq!(texts, ["0", "18.44", "0.0015", "2.1e-4", "1234.6", "123,456", "−20,000", "not finite"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let texts = [3.2, 61.0, 3_600.0, 100_000.0].map(duration);
        assert_eq!(texts, ["3 s", "1 min 1 s", "1 h", "1 d 3 h"]);
        assert!((rounded(18.439_117_4) - 18.439_1).abs() < 1e-12);
    }
}
