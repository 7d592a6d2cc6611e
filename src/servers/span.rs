//! Spans of time as they are written in settings: `90s`, `10m`, `2h`.

use std::{fmt, str::FromStr, time::Duration};

/// Units from the largest to the smallest, with their seconds.
const UNITS: [(&str, u64); 3] = [("h", 3600), ("m", 60), ("s", 1)];

/// A span of time of whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

impl Span {
    /// Returns the span as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not a time such as 90s, 10m or 2h");
        let found = UNITS.iter().find_map(|(unit, seconds)| Some((text.trim().strip_suffix(unit)?, seconds)));
        let (number, seconds) = found.ok_or_else(refused)?;
        let number: u64 = number.trim().parse().map_err(|_| refused())?;
        number.checked_mul(*seconds).filter(|&seconds| seconds <= 30 * 86_400).map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| self.0 > 0 && self.0.is_multiple_of(*seconds));
        let (name, seconds) = unit.unwrap_or(&UNITS[2]);
        write!(f, "{}{name}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_with_their_unit() {
        for (text, seconds, shown) in
            [("90s", 90, "90s"), ("10m", 600, "10m"), ("120m", 7200, "2h"), ("0s", 0, "0s")]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0, &*span.to_string()), (seconds, shown), "{text}");
        }
        for text in ["", "10", "m", "-1s", "1d", "1.5h", "99999999h"] {
            assert!(text.parse::<Span>().unwrap_err().contains("such as 90s"), "{text}");
        }
    }
}
