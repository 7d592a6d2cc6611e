//! Lists of objects: globs, and lists of addresses on servers.

use futures_util::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::{ObjectStore, path::Path};

use super::{
    address::Address,
    failure::{Failure, FailureKind},
    link::{Link, unavailable},
    object::{Object, Version},
};
use crate::{PatternError, Result, Unavailable, hint::StoreKind, pattern::without_query};

/// Characters that make a glob of a name. In addresses of web servers, `?` begins the query.
const GLOB: [char; 3] = ['*', '?', '['];

impl Link {
    /// Returns the objects that an expanded pattern names, in alphabetical order.
    pub(super) async fn list(&self, pattern: &str) -> Result<Vec<Object>> {
        let invalid = |reason| PatternError::Url { url: without_query(pattern).to_owned(), reason };
        let address = Address::parse(pattern).map_err(invalid)?;
        let is_glob = match address.kind {
            StoreKind::Web => address.shown.contains(['*', '[']),
            _ => address.key.contains(GLOB),
        };
        if !is_glob {
            return Ok(vec![self.object(address)?]);
        }
        if address.kind == StoreKind::Web {
            return Err(PatternError::WebGlob { url: address.shown.to_string() }.into());
        }
        let found = self.matching(&address).await?;
        if found.is_empty() {
            return Err(PatternError::NoObject { pattern: address.shown.to_string() }.into());
        }
        Ok(found)
    }

    /// Lists the objects whose names a glob matches.
    async fn matching(&self, address: &Address) -> Result<Vec<Object>> {
        let pattern = Pattern::new(&address.key).map_err(|_| PatternError::Url {
            url: address.shown.to_string(),
            reason: "its glob is invalid",
        })?;
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
        let literal = &address.key[..address.key.find(GLOB).unwrap_or(address.key.len())];
        // A prefix of a list is a folder.
        let folder = literal.rsplit_once('/').map_or("", |(folder, _)| folder);
        let prefix = Path::parse(folder).map_err(|error| refused(address, &error.to_string()))?;
        let host = self.object(address.clone())?;
        let kind = address.kind;
        let listed = self.persist(&host, move |store, _| {
            let prefix = prefix.clone();
            async move {
                let listed = store.list(Some(&prefix)).try_collect::<Vec<_>>().await;
                listed.map_err(|error| Failure::of(&error, kind))
            }
        });
        let mut listed = listed.await.map_err(|failure| unavailable(address, failure))?;
        listed.sort_by(|one, other| one.location.cmp(&other.location));
        let mut found = Vec::new();
        for meta in listed.iter().filter(|meta| pattern.matches_with(meta.location.as_ref(), options)) {
            let key = meta.location.to_string();
            let shown = format!("{}/{key}", address.prefix).into();
            let object = self.object(Address { key, shown, ..address.clone() })?;
            if meta.e_tag.is_some() {
                self.remember(&object, Version::of(meta));
            }
            found.push(object);
        }
        Ok(found)
    }

    /// Reads a list of patterns on a server. Relative lines begin at the list's folder.
    pub(super) fn lines(&self, url: &str) -> Result<Vec<String>> {
        let invalid = |reason| PatternError::Url { url: without_query(url).to_owned(), reason };
        let address = Address::parse(url).map_err(invalid)?;
        let object = self.object(address.clone())?;
        let read =
            self.handle().block_on(self.whole(&object)).map_err(|failure| unavailable(&address, failure))?;
        let bytes = read.ok_or_else(|| refused(&address, "there is no such list"))?;
        let text =
            String::from_utf8(bytes.to_vec()).map_err(|_| refused(&address, "it is not a list in UTF-8"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (folder, _) = address.shown.rsplit_once('/').unwrap_or_default();
        let lines: Vec<_> = lines
            .map(|line| if line.contains("://") { line.to_owned() } else { format!("{folder}/{line}") })
            .collect();
        if lines.is_empty() {
            return Err(refused(&address, "the list names no shards").into());
        }
        Ok(lines)
    }
}

fn refused(address: &Address, reason: &str) -> Unavailable {
    unavailable(address, Failure::new(FailureKind::Final, reason, None))
}
