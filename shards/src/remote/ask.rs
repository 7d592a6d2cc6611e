//! Requests, repeated while a failure may pass.

use std::{
    future::Future,
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};
use tokio::time::{Instant, sleep};

use super::{
    failure::{Failure, FailureKind},
    link::Link,
    object::{Object, Version},
    options::Credentials,
    traffic::add,
};
use crate::hint::{RemoteHint, StoreKind};

/// The number of tries of a server that has never answered: a mistake in the address is told at once.
const FIRST_TRIES: u32 = 3;
/// The time after which such a server is not tried again.
const FIRST_TIME: Duration = Duration::from_secs(2);
/// The time before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The time after which a line says that a server is waited for.
const SILENT: Duration = Duration::from_secs(10);

impl Link {
    /// Asks for the version of an object, without reading it.
    pub(super) async fn version(&self, object: &Object) -> Result<Version, Failure> {
        let (kind, is_presigned) = (object.address.kind, object.address.is_presigned());
        let version = self.persist(object, |store, path| head(store, path, kind, is_presigned)).await?;
        if version.tag.is_none() && !object.host.is_warned_of.swap(true, Relaxed) {
            let host = &object.host.prefix;
            tracing::warn!(
                "`{host}` sends no entity tags: a shard that is replaced within a second is not noticed"
            );
        }
        self.remember(object, version.clone());
        Ok(version)
    }

    /// Reads bytes of this version of an object. A version that is gone is not asked for again.
    pub(super) async fn range(
        &self,
        object: &Object,
        version: &Version,
        range: Range<u64>,
    ) -> Result<Bytes, Failure> {
        if let Some(failure) = self.gone(object, version) {
            return Err(failure);
        }
        let kind = object.address.kind;
        let asked =
            self.persist(object, |store, path| get(store, path, kind, version.clone(), range.clone()));
        let bytes = asked.await.inspect_err(|failure| {
            if matches!(failure.kind, FailureKind::Absent | FailureKind::Replaced) {
                self.remember_gone(object, version, failure.clone());
                let (url, reason) = (&object.address.shown, &failure.reason);
                tracing::warn!(
                    "`{url}` was replaced or removed while it was in use ({reason}): its samples count as bad"
                );
            }
        })?;
        add(&self.counters.bytes, bytes.len() as u64);
        Ok(bytes)
    }

    /// Reads a whole small object; `None` if there is none.
    pub(super) async fn whole(&self, object: &Object) -> Result<Option<Bytes>, Failure> {
        let read =
            |store: Arc<dyn ObjectStore>, path: Path| async move { store.get(&path).await?.bytes().await };
        let kind = object.address.kind;
        let asked = self.persist(object, move |store, path| {
            let read = read(store, path);
            async move { read.await.map_err(|error| Failure::of(&error, kind)) }
        });
        match asked.await {
            Ok(bytes) => {
                add(&self.counters.bytes, bytes.len() as u64);
                Ok(Some(bytes))
            }
            Err(Failure { kind: FailureKind::Absent, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Asks until there is an answer, a failure that does not pass, or no more patience.
    pub(super) async fn persist<T, F>(
        &self,
        object: &Object,
        ask: impl Fn(Arc<dyn ObjectStore>, Path) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (begin, mut tries, mut is_renewed, mut is_told) = (Instant::now(), 0u32, false, false);
        loop {
            let Some(store) = object.store() else {
                return Err(Failure::new(FailureKind::Final, "there is no client for it", None));
            };
            let failure = match ask(store, object.path.clone()).await {
                Ok(answer) => {
                    object.host.prove();
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            tries += 1;
            match failure.kind {
                FailureKind::Denied if !is_renewed => {
                    // Expired credentials are read again; a public bucket needs none.
                    is_renewed = true;
                    self.renew(object, !object.host.is_proven());
                }
                FailureKind::Absent | FailureKind::Replaced => {
                    object.host.prove();
                    return Err(failure);
                }
                FailureKind::Passing if self.has_patience(object, begin, tries) => {
                    if begin.elapsed() > SILENT && !is_told {
                        is_told = true;
                        self.tell_waiting(object, &failure);
                    }
                    sleep(pause(tries)).await;
                }
                FailureKind::Denied | FailureKind::Passing | FailureKind::Final => {
                    return Err(explained(failure, object));
                }
            }
            add(&self.counters.retries, 1);
        }
    }

    fn has_patience(&self, object: &Object, begin: Instant, tries: u32) -> bool {
        if object.host.is_proven() {
            return begin.elapsed() < self.config.patience;
        }
        tries < FIRST_TRIES && begin.elapsed() < FIRST_TIME
    }

    fn tell_waiting(&self, object: &Object, failure: &Failure) {
        let (host, minutes) = (&object.host.prefix, self.config.patience.as_secs_f64() / 60.0);
        let reason = &failure.reason;
        tracing::warn!("waiting for `{host}`: {reason}; it is tried again for {minutes:.0} minutes in all");
    }
}

/// Returns the time before the next try.
fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

/// Adds what is known of the credentials, or of the address.
fn explained(failure: Failure, object: &Object) -> Failure {
    if failure.kind == FailureKind::Passing && object.host.is_proven() {
        return Failure { hint: Some(RemoteHint::Patience), ..failure };
    }
    let hint = match (failure.hint, &object.host.credentials) {
        (Some(RemoteHint::Credentials { .. }), _) if object.address.is_presigned() => {
            Some(RemoteHint::Presigned)
        }
        (Some(RemoteHint::Credentials { .. }), Credentials::Profile(profile)) => {
            Some(RemoteHint::Profile(profile.clone()))
        }
        (Some(RemoteHint::Credentials { store, .. }), credentials) => {
            let from = match credentials {
                Credentials::From(place) => Some(place.clone()),
                Credentials::Machine => Some("the metadata service of this machine".to_owned()),
                Credentials::Profile(_) | Credentials::None => None,
            };
            Some(RemoteHint::Credentials { from, store })
        }
        (Some(RemoteHint::Unencrypted { .. }), _) => {
            Some(RemoteHint::Unencrypted { prefix: object.host.prefix.clone() })
        }
        (hint, _) => hint,
    };
    Failure { hint, ..failure }
}

/// Asks for the version of an object. A presigned address permits GET alone, some servers know no HEAD, and a refusal
/// of HEAD has no content that tells the reason: then a byte is asked for.
async fn head(
    store: Arc<dyn ObjectStore>,
    path: Path,
    kind: StoreKind,
    is_presigned: bool,
) -> Result<Version, Failure> {
    let failed = |error: object_store::Error| Failure::of(&error, kind);
    if !is_presigned {
        match store.head(&path).await.map_err(failed) {
            Ok(meta) => return Ok(Version::of(&meta)),
            Err(failure) if matches!(failure.status, Some(300..=403 | 405 | 501)) => {}
            Err(failure) => return Err(failure),
        }
    }
    let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
    store.get_opts(&path, options).await.map(|answer| Version::of(&answer.meta)).map_err(failed)
}

/// Asks for bytes of this version of an object, and checks that the answer is of this version and complete.
async fn get(
    store: Arc<dyn ObjectStore>,
    path: Path,
    kind: StoreKind,
    version: Version,
    range: Range<u64>,
) -> Result<Bytes, Failure> {
    let failed = |error: object_store::Error| Failure::of(&error, kind);
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        if_match: version.condition(),
        ..GetOptions::default()
    };
    let answer = store.get_opts(&path, options).await.map_err(failed)?;
    // Not every server takes notice of the condition.
    if !Version::of(&answer.meta).is_version_of(&version) {
        return Err(Failure::new(FailureKind::Replaced, "the server sent another version of it", None));
    }
    let bytes = answer.bytes().await.map_err(failed)?;
    let expected = range.end - range.start;
    if bytes.len() as u64 != expected {
        return Err(Failure::broken(format!("the answer has {} instead of {expected} bytes", bytes.len())));
    }
    Ok(bytes)
}
