//! Ways to shuffle samples.

use std::{fmt, num::NonZero, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// A way to shuffle samples, anew for each epoch: `global`, `window:N` or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Shuffle {
    /// All orders of all samples are equally likely. Every sample is a separate read from anywhere in the
    /// set, which suits local SSDs and memory.
    Global,
    /// Chunks of 32 neighbours are shuffled over the whole set, and then this many samples are mixed
    /// thoroughly with each other. This takes no memory, and a slow disk reads neighbours together.
    Window(NonZero<u64>),
    /// Every epoch has the stored order.
    None,
}

impl Default for Shuffle {
    fn default() -> Self {
        const SAMPLES: NonZero<u64> = NonZero::new(16_384).expect("16384 is not 0");
        Self::Window(SAMPLES)
    }
}

impl fmt::Display for Shuffle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Window(samples) => write!(f, "window:{samples}"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Shuffle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let window = |samples: &str| samples.parse().ok().map(Self::Window);
        let parsed = match text {
            "global" => Some(Self::Global),
            "none" => Some(Self::None),
            _ => text.strip_prefix("window:").and_then(window),
        };
        parsed.ok_or_else(|| Error::Shuffle { text: text.to_owned() })
    }
}

impl From<Shuffle> for String {
    fn from(shuffle: Shuffle) -> Self {
        shuffle.to_string()
    }
}

impl TryFrom<String> for Shuffle {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_parsed_as_it_is_displayed() {
        for text in ["global", "window:1", "window:16384", "none"] {
            let shuffle: Shuffle = text.parse().unwrap();
            assert_eq!(shuffle.to_string(), text);
            let json = serde_json::to_string(&shuffle).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Shuffle>(&json).unwrap(), shuffle);
        }
        assert_eq!(Shuffle::default().to_string(), "window:16384");
    }

    #[test]
    fn an_unknown_shuffle_is_refused_with_a_hint() {
        for text in ["", "window", "window:", "window:0", "window:-1", "16384", "Global", "window:1k"] {
            let error = text.parse::<Shuffle>().unwrap_err();
            assert_eq!(error.to_string(), format!("unknown shuffle `{text}`"));
            assert_eq!(error.hint(), Some(crate::Hint::Shuffle));
        }
    }
}
