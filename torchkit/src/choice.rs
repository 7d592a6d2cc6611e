//! The choice of an option of a run.

use std::{fmt, str::FromStr};

/// Whether an option is in use: `auto`, `on` or `off`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// In use where that helps, as the option itself says.
    #[default]
    Auto,
    /// In use, wherever it can be.
    On,
    /// Not in use.
    Off,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(format!("unknown choice `{name}`: expected `auto`, `on` or `off`")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}
