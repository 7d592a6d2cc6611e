//! Addresses of objects.

use std::sync::Arc;

use url::Url;

use crate::{hint::StoreKind, pattern::without_query};

/// The address of an object, or a pattern of such addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) kind: StoreKind,
    /// The scheme with the bucket, the container or the host.
    pub(super) prefix: String,
    /// The name within the bucket; for a web server the whole address, with its query.
    pub(super) key: String,
    /// The address without its query, which may be a secret.
    pub(super) shown: Arc<str>,
}

impl Address {
    /// Parses an address.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let scheme = scheme.to_ascii_lowercase();
        let kind = match &*scheme {
            "s3" => StoreKind::S3,
            "gs" => StoreKind::Google,
            "az" => StoreKind::Azure,
            "http" | "https" => return Self::of_web(text),
            _ => return Err("its scheme is unknown"),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("it names no bucket");
        }
        if key.is_empty() || key.ends_with('/') {
            return Err("it names no object");
        }
        let prefix = format!("{scheme}://{bucket}");
        Ok(Self { kind, shown: format!("{prefix}/{key}").into(), prefix, key: key.to_owned() })
    }

    fn of_web(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is not a valid URL")?;
        let host = url.host_str().ok_or("it names no host")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user name or a password in it, which is not supported");
        }
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let prefix = format!("{}://{host}{port}", url.scheme());
        if url.path().ends_with('/') {
            return Err("it names no file");
        }
        let shown = without_query(text).into();
        Ok(Self { kind: StoreKind::Web, prefix, key: url.into(), shown })
    }

    /// Returns whether its query permits a single kind of request, so that others are refused.
    pub(super) fn is_presigned(&self) -> bool {
        self.kind == StoreKind::Web && self.key.contains('?')
    }

    /// Returns the address of an object beside this one, whose name has `suffix` appended.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        let key = match (self.kind, self.key.split_once('?')) {
            (StoreKind::Web, Some((path, query))) => format!("{path}{suffix}?{query}"),
            _ => format!("{}{suffix}", self.key),
        };
        Self { key, shown: format!("{}{suffix}", self.shown).into(), ..self.clone() }
    }

    /// Returns the address of an object of this name in the same folder.
    pub(super) fn sibling(&self, name: &str) -> Self {
        let beside =
            |path: &str| format!("{}/{name}", path.rsplit_once('/').map_or("", |(folder, _)| folder));
        let key = match (self.kind, self.key.split_once('?')) {
            (StoreKind::Web, Some((path, query))) => format!("{}?{query}", beside(path)),
            _ => beside(&self.key).trim_start_matches('/').to_owned(),
        };
        Self { key, shown: beside(&self.shown).into(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_divided_into_store_and_object() {
        for (text, kind, prefix, key, shown) in [
            ("s3://b/d/x.tar", StoreKind::S3, "s3://b", "d/x.tar", "s3://b/d/x.tar"),
            ("S3://b/x y+%20.tar", StoreKind::S3, "s3://b", "x y+%20.tar", "s3://b/x y+%20.tar"),
            ("gs://b/x.tar", StoreKind::Google, "gs://b", "x.tar", "gs://b/x.tar"),
            ("az://c/x.tar", StoreKind::Azure, "az://c", "x.tar", "az://c/x.tar"),
            (
                "https://h:81/a%20b/x.tar?sig=s#f",
                StoreKind::Web,
                "https://h:81",
                "https://h:81/a%20b/x.tar?sig=s#f",
                "https://h:81/a%20b/x.tar",
            ),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.kind, &*address.prefix, &*address.key, &*address.shown),
                (kind, prefix, key, shown)
            );
        }
    }

    #[test]
    fn what_is_no_address_of_an_object_is_refused() {
        for (text, words) in [
            ("s3://", "no bucket"),
            ("s3://bucket", "no object"),
            ("s3://bucket/folder/", "no object"),
            ("https://host/folder/", "no file"),
            ("https://user:secret@host/x.tar", "user name"),
            ("ftp://host/x.tar", "unknown"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn neighbours_of_an_object_keep_its_query() {
        let web = Address::parse("https://h/d/x.tar?sig=s").unwrap();
        assert_eq!(web.with_suffix(".index").key, "https://h/d/x.tar.index?sig=s");
        assert_eq!(web.sibling("classes.txt").key, "https://h/d/classes.txt?sig=s");
        assert_eq!(&*web.sibling("classes.txt").shown, "https://h/d/classes.txt");
        let s3 = Address::parse("s3://b/x.tar").unwrap();
        assert_eq!((&*s3.sibling("c.txt").key, &*s3.sibling("c.txt").shown), ("c.txt", "s3://b/c.txt"));
    }
}
