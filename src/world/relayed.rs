//! An error that the lead reports.

use std::{error::Error, fmt};

/// An error that the lead reports, on another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed(pub(super) String);

impl fmt::Display for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Relayed {}
