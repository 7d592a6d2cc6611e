//! Objects and their versions.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use object_store::{ObjectMeta, ObjectStore, client::HttpClient, path::Path};
use xxhash_rust::xxh3::xxh3_64;

use super::{address::Address, options::Credentials};
use crate::Stamp;

/// A bucket, a container or a web server.
#[derive(Debug)]
pub(super) struct Host {
    /// The scheme with the name of the bucket, the container or the host.
    pub(super) prefix: String,
    /// The client of a bucket; `None` for a web server, each of whose files has one.
    pub(super) bucket: Mutex<Option<Arc<dyn ObjectStore>>>,
    /// The connections that files of a web server share.
    pub(super) web: Option<HttpClient>,
    pub(super) credentials: Credentials,
    /// Whether it has given what was asked for, so that a failure is an outage and no mistake.
    is_proven: AtomicBool,
    /// Whether a warning was given that it tells no versions.
    pub(super) is_warned_of: AtomicBool,
}

impl Host {
    pub(super) fn new(
        prefix: String,
        bucket: Option<Arc<dyn ObjectStore>>,
        web: Option<HttpClient>,
        credentials: Credentials,
    ) -> Self {
        let (is_proven, is_warned_of) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { prefix, bucket: Mutex::new(bucket), web, credentials, is_proven, is_warned_of }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Relaxed)
    }

    pub(super) fn prove(&self) {
        self.is_proven.store(true, Relaxed);
    }

    pub(super) fn bucket(&self) -> Option<Arc<dyn ObjectStore>> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An object, and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) address: Address,
    pub(super) host: Arc<Host>,
    /// The client of a file on a web server.
    pub(super) file: Option<Arc<dyn ObjectStore>>,
    /// The name within the store.
    pub(super) path: Path,
}

impl Object {
    /// Returns the client.
    pub(super) fn store(&self) -> Option<Arc<dyn ObjectStore>> {
        self.file.clone().or_else(|| self.host.bucket())
    }
}

/// The version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) size: u64,
    /// The entity tag as the server sent it.
    pub(super) tag: Option<String>,
    /// The time of the last change in seconds since 1970.
    pub(super) modified: i64,
}

impl Version {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self { size: meta.size, tag: meta.e_tag.clone(), modified: meta.last_modified.timestamp() }
    }

    /// Returns the stamp of this version. Without a tag, the time of the last change stands for it.
    pub(super) fn stamp(&self) -> Stamp {
        let tag = match self.bare() {
            Some(tag) => xxh3_64(tag.as_bytes()),
            None => xxh3_64(format!("modified {}", self.modified).as_bytes()),
        };
        Stamp { size: self.size, tag: tag.max(1), ..Stamp::default() }
    }

    /// Returns the tag by which a request can ask for this version alone. Weak tags never match.
    pub(super) fn condition(&self) -> Option<String> {
        let bare = self.bare().filter(|_| !self.is_weak())?;
        Some(format!("\"{bare}\""))
    }

    /// Returns whether an answer is of this version.
    pub(super) fn is_version_of(&self, other: &Self) -> bool {
        let is_same = match (self.bare(), other.bare()) {
            (Some(own), Some(other)) => own == other,
            (None, None) => self.modified == other.modified,
            _ => false,
        };
        is_same && self.size == other.size
    }

    fn is_weak(&self) -> bool {
        self.tag.as_deref().is_some_and(|tag| tag.starts_with("W/"))
    }

    /// Returns the tag without quotes and without the mark of weak tags.
    fn bare(&self) -> Option<&str> {
        let tag = self.tag.as_deref()?;
        Some(tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')).filter(|tag| !tag.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(tag: Option<&str>, modified: i64) -> Version {
        Version { size: 7, tag: tag.map(str::to_owned), modified }
    }

    #[test]
    fn tags_are_compared_without_quotes() {
        let quoted = version(Some("\"a-6\""), 1);
        for (other, is_same) in [
            (version(Some("a-6"), 2), true), // Azure's listing
            (version(Some("W/\"a-6\""), 1), true),
            (version(Some("\"b\""), 1), false),
            (version(None, 1), false),
        ] {
            assert_eq!(quoted.is_version_of(&other), is_same, "{other:?}");
            assert_eq!(quoted.stamp() == other.stamp(), is_same, "{other:?}");
        }
        assert_eq!(quoted.condition().as_deref(), Some("\"a-6\""));
        assert_eq!(version(Some("W/\"a\""), 1).condition(), None);
    }

    #[test]
    fn without_a_tag_the_time_of_change_counts() {
        let version_of = |modified| version(None, modified);
        assert!(version_of(1).is_version_of(&version_of(1)));
        assert!(!version_of(1).is_version_of(&version_of(2)));
        assert_ne!(version_of(1).stamp(), version_of(2).stamp());
        assert_ne!(version_of(1).stamp().tag, 0);
    }
}
