//! Brackets in patterns: `<000..999>`, `{000..999}` and `{a,b}`.

use super::error::PatternError;

/// The deepest nesting of brackets; each level takes some of the stack.
const DEPTH: usize = 100;

/// A parsed pattern.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    /// The numbers from first to last, padded with zeros to `width` digits.
    Range {
        first: u64,
        last: u64,
        width: usize,
    },
    OneOf(Vec<Template>),
}

impl Template {
    pub(super) fn parse(pattern: &str) -> Result<Self, PatternError> {
        Parser { pattern }.template(pattern, 0)
    }

    pub(super) fn literal(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// Returns the number of names that it stands for.
    pub(super) fn count(&self) -> u64 {
        self.parts.iter().map(Part::count).fold(1, u64::saturating_mul)
    }

    /// Returns the names; the last part varies fastest.
    pub(super) fn expand(&self) -> Vec<String> {
        self.parts.iter().fold(vec![String::new()], |names, part| part.append_to(names))
    }
}

impl Part {
    fn count(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Range { first, last, .. } => (last - first).saturating_add(1),
            Self::OneOf(choices) => choices.iter().map(Template::count).fold(0, u64::saturating_add),
        }
    }

    fn append_to(&self, mut names: Vec<String>) -> Vec<String> {
        let choices: Vec<String> = match self {
            Self::Text(text) => {
                for name in &mut names {
                    name.push_str(text);
                }
                return names;
            }
            Self::Range { first, last, width } => (*first..=*last).map(|n| format!("{n:0width$}")).collect(),
            Self::OneOf(choices) => choices.iter().flat_map(Template::expand).collect(),
        };
        let with =
            |name: String| choices.iter().map(move |choice| format!("{name}{choice}")).collect::<Vec<_>>();
        names.into_iter().flat_map(with).collect()
    }
}

struct Parser<'a> {
    /// The whole pattern, for errors.
    pattern: &'a str,
}

impl Parser<'_> {
    /// Parses `text`, which is nested in `depth` brackets.
    fn template(&self, mut text: &str, depth: usize) -> Result<Template, PatternError> {
        if depth > DEPTH {
            return Err(self.syntax("its brackets are nested too deeply"));
        }
        let mut parts = Vec::new();
        while let Some(at) = text.find(['<', '{', '>', '}']) {
            parts.push(Part::Text(text[..at].to_owned()));
            let closing = match &text[at..=at] {
                "<" => self.closing(text, at, b'<', b'>')?,
                "{" => self.closing(text, at, b'{', b'}')?,
                other => {
                    return Err(self.syntax(if other == ">" {
                        "`>` closes no `<`"
                    } else {
                        "`}` closes no `{`"
                    }));
                }
            };
            parts.push(self.part(&text[at..=closing], depth)?);
            text = &text[closing + 1..];
        }
        parts.push(Part::Text(text.to_owned()));
        Ok(Template { parts })
    }

    fn closing(&self, text: &str, at: usize, open: u8, close: u8) -> Result<usize, PatternError> {
        let mut depth = 0;
        for (place, byte) in text.bytes().enumerate().skip(at) {
            depth += i32::from(byte == open) - i32::from(byte == close);
            if depth == 0 {
                return Ok(place);
            }
        }
        Err(self.syntax(if open == b'<' { "`<` is not closed by `>`" } else { "`{` is not closed by `}`" }))
    }

    /// Parses a bracket with its content.
    fn part(&self, bracket: &str, depth: usize) -> Result<Part, PatternError> {
        let inside = &bracket[1..bracket.len() - 1];
        let choices = at_top_level(inside, |byte| byte == b',');
        if bracket.starts_with('{') && choices.len() > 1 {
            let choices = choices.into_iter().map(|choice| self.template(choice, depth + 1));
            return Ok(Part::OneOf(choices.collect::<Result<_, _>>()?));
        }
        self.range(inside)
    }

    fn range(&self, text: &str) -> Result<Part, PatternError> {
        let wrong = || self.syntax("brackets hold two numbers as in `<000..999>`, or texts as in `{a,b}`");
        let (first_text, last_text) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { text.parse::<u64>().map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let (first, last) = (number(first_text)?, number(last_text)?);
        if first > last {
            let (pattern, upward) = (self.pattern.to_owned(), format!("{last_text}..{first_text}"));
            return Err(PatternError::Descending { pattern, range: text.to_owned(), upward });
        }
        let is_padded = [first_text, last_text].iter().any(|text| text.len() > 1 && text.starts_with('0'));
        let width = if is_padded { first_text.len().max(last_text.len()) } else { 0 };
        Ok(Part::Range { first, last, width })
    }

    fn syntax(&self, reason: &'static str) -> PatternError {
        PatternError::Syntax { pattern: self.pattern.to_owned(), reason }
    }
}

/// Splits at ASCII separators outside of all brackets.
pub(super) fn at_top_level(text: &str, is_separator: impl Fn(u8) -> bool) -> Vec<&str> {
    let (mut choices, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'<' => depth += 1,
            b'}' | b'>' => depth -= 1,
            _ if depth == 0 && is_separator(byte) => {
                choices.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    choices.push(&text[start..]);
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let template = Template::parse(pattern).unwrap();
        let names = template.expand();
        assert_eq!(names.len() as u64, template.count());
        names
    }

    #[test]
    fn ranges_are_padded_as_written() {
        assert_eq!(names("x-<008..011>.tar"), ["x-008.tar", "x-009.tar", "x-010.tar", "x-011.tar"]);
        assert_eq!(names("{8..11}"), ["8", "9", "10", "11"]);
        assert_eq!(names("<098..101>"), ["098", "099", "100", "101"]);
        assert_eq!(names("{0..2}"), ["0", "1", "2"]);
    }

    #[test]
    fn brackets_are_combined_and_nested() {
        assert_eq!(
            names("{a,b<1..2>,{c,d}e}/<1..2>"),
            ["a/1", "a/2", "b1/1", "b1/2", "b2/1", "b2/2", "ce/1", "ce/2", "de/1", "de/2"]
        );
        assert_eq!(names("a{,b}"), ["a", "ab"]);
    }

    #[test]
    fn a_descending_range_is_refused_with_the_ascending_one() {
        let error = Template::parse("x-<003..000>.tar").unwrap_err();
        assert!(matches!(error, PatternError::Descending { upward, .. } if upward == "000..003"));
    }

    #[test]
    fn malformed_brackets_are_refused() {
        for pattern in
            ["x-<000..003.tar", "x-{0..3", "x>", "x}", "<a..b>", "<1,2>", "{a}", "<1..2..3>", "<..>"]
        {
            assert!(matches!(Template::parse(pattern), Err(PatternError::Syntax { .. })), "{pattern}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| "{".repeat(depth) + &",a}".repeat(depth);
        assert_eq!(names(&nested(100)).len(), 101);
        let error = Template::parse(&nested(30_000)).unwrap_err();
        assert!(error.to_string().ends_with("too deeply"));
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let template = Template::parse("<0..18446744073709551615><0..18446744073709551615>").unwrap();
        assert_eq!(template.count(), u64::MAX);
    }
}
