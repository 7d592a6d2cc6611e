//! Errors of what was asked for.

use std::fmt;

/// An error that other arguments cure.
#[derive(Debug)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// An error that other arguments cure, from a format string.
macro_rules! usage {
    ($($arg:tt)*) => { anyhow::Error::new($crate::Misuse(format!($($arg)*))) };
}

pub(crate) use usage;
