//! The result of one check.

use std::borrow::Cow;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::Level;

use crate::{commands::finding, hint::Notice};

/// The state of what was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Ok,
    /// A run works, but perhaps worse than expected.
    Warn,
    /// A run would fail, or not do what its flags say.
    Bad,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The result of a check, with a hint where it is not ok.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) name: Cow<'static, str>,
    pub(super) state: State,
    pub(super) found: String,
    pub(super) cure: Option<String>,
    /// The process that has made the check, if it is not the lead.
    pub(super) rank: Option<usize>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, found: found.into(), cure: None, rank: None }
    }

    pub(super) fn warn(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), state: State::Warn, ..Self::ok(name, found) }
    }

    pub(super) fn bad(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), state: State::Bad, ..Self::ok(name, found) }
    }

    /// Prints the result in words and as JSON.
    pub(super) fn print(&self) -> Result<()> {
        let Self { name, state, found, cure, .. } = self;
        let message = format!("{name} {}: {found}", state.name());
        let words = Notice { message, hints: cure.iter().cloned().collect() };
        let level = match state {
            State::Ok => Level::INFO,
            State::Warn => Level::WARN,
            State::Bad => Level::ERROR,
        };
        finding::print(level, words, &self.json())
    }

    pub(super) fn json(&self) -> Value {
        let mut json =
            json!({"check": self.name, "state": self.state.name(), "found": self.found, "hint": self.cure});
        if let Some(rank) = self.rank {
            json["rank"] = json!(rank);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_that_is_not_ok_has_a_hint() {
        let line = Check::bad("disk", "full", "make room").json();
        assert_eq!(line, json!({"check": "disk", "state": "bad", "found": "full", "hint": "make room"}));
        assert_eq!(Check::ok("disk", "empty").json()["hint"], Value::Null);
    }
}
