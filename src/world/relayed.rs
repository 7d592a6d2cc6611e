//! Errors that travel between processes.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    exit::Code,
    hint::{self, WithHint},
};

/// An error that the lead reports, on another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed(String);

impl fmt::Display for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Relayed {}

/// An error on its way to other processes.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) causes: String,
    pub(super) hints: Vec<String>,
    code: i32,
}

impl Told {
    pub(super) fn of(error: &anyhow::Error) -> Self {
        Self { causes: hint::causes(error), hints: hint::hints(error), code: hint::code(error) as i32 }
    }

    pub(super) fn code(&self) -> Code {
        Code::of(self.code).unwrap_or(Code::Failed)
    }

    /// Returns the error of a process that leaves the report to the lead.
    pub(super) fn relayed(self) -> anyhow::Error {
        let code = self.code();
        let error: anyhow::Result<()> = Err(Relayed(self.causes)).with_code(code);
        error.expect_err("an error with a code")
    }
}
