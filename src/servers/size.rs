//! Sizes in bytes as they are written in settings: `100GB`, `1.5TB`, `64MiB`.

use std::{fmt, str::FromStr};

/// Units from the smallest to the largest, with their bytes.
const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not a size such as 500MB, 100GB or 1TB");
        let text = text.trim();
        let split = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(refused)?;
        let (number, unit) = (text[..split].trim(), &text[split..]);
        let number: f64 = number.parse().map_err(|_| refused())?;
        let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(refused)?.1;
        let bytes = number * unit as f64;
        let is_possible = bytes.is_finite() && (1.0..=1e18).contains(&bytes);
        if is_possible { Ok(Self(bytes.round() as u64)) } else { Err(refused()) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().rev().find(|(_, bytes)| self.0.is_multiple_of(*bytes) && self.0 >= *bytes);
        let (name, bytes) = unit.unwrap_or(&UNITS[0]);
        write!(f, "{}{name}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_with_their_unit() {
        for (text, bytes, shown) in [
            ("100GB", 100_000_000_000, "100GB"),
            ("1.5TB", 1_500_000_000_000, "1500GB"),
            ("64MiB", 64 << 20, "64MiB"),
            ("2 gb", 2_000_000_000, "2GB"),
            ("1234567B", 1_234_567, "1234567B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, &*size.to_string()), (bytes, shown), "{text}");
            assert_eq!(shown.parse(), Ok(size));
        }
        for text in ["", "100", "GB", "-1GB", "0B", "1e30TB", "nanGB", "5 apples"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.contains("such as 500MB"), "{error}");
        }
    }
}
