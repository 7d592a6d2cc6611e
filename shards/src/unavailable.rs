//! The error of a server that does not give what was asked for.

use std::{io, sync::Arc};

use crate::hint::RemoteHint;

/// A server does not give a shard, a list or an index, which is no fault of a sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{url}`: {reason}")]
pub struct Unavailable {
    /// The address, without secrets.
    pub url: Arc<str>,
    /// The reason.
    pub reason: String,
    /// The cure, if one is known.
    pub hint: Option<RemoteHint>,
}

impl Unavailable {
    /// Returns the error of this kind that a failed read carries, if it does.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}
