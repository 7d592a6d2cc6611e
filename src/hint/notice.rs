//! A message with hints, in the form in which it is printed.

use std::fmt;

/// A message with hints about what the user can do. It is displayed as the message, then a line for each
/// hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The message, on one line.
    pub message: String,
    /// The hints, in the imperative and without "hint:".
    pub hints: Vec<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\n  {}", labelled(hint)))
    }
}

/// Returns a hint with the label that marks it as one.
pub(crate) fn labelled(hint: &str) -> String {
    format!("hint: {hint}")
}

/// Makes a [`Notice`] for a warning. The arguments are those of [`failure!`](crate::failure).
#[macro_export]
macro_rules! notice {
    ($message:literal $(, $argument:expr)* $(,)? $(; $hint:literal $(, $of_hint:expr)* $(,)?)*) => {
        $crate::hint::Notice {
            message: format!($message $(, $argument)*),
            hints: vec![$(format!($hint $(, $of_hint)*)),*],
        }
    };
}
