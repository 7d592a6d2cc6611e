//! Errors that are the user's to mend at the command line: they end the program with code 2.

/// What was asked for cannot be meant.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// An [`anyhow::Error`] that is a [`UsageError`], from a format string.
#[macro_export]
macro_rules! usage {
    ($($arg:tt)*) => { ::anyhow::Error::new($crate::usage::UsageError(format!($($arg)*))) };
}
