//! Clients of stores.

use std::{str::FromStr, sync::Arc};

use object_store::{
    ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
};

use super::{
    address::Address,
    failure::{Failure, FailureKind},
    options::{Credentials, Options},
    wire::{Connector, Shared},
};
use crate::hint::{RemoteHint, StoreKind};

/// Settings of all connections: no bound on the time of a whole answer, which may be long on a slow line, but on the
/// time without a byte.
const CLIENT: [(ClientConfigKey, &str); 4] = [
    (ClientConfigKey::Timeout, "1h"),
    (ClientConfigKey::ReadTimeout, "20s"),
    (ClientConfigKey::ConnectTimeout, "5s"),
    (ClientConfigKey::UserAgent, concat!("amdim-stream/", env!("CARGO_PKG_VERSION"))),
];

/// Makes the client of a bucket or a container.
///
/// # Errors
/// An option has an invalid value, or a necessary one is missing.
pub(super) fn of_bucket(
    address: &Address,
    options: &Options,
    credentials: &Credentials,
    connector: Connector,
) -> Result<Arc<dyn ObjectStore>, Failure> {
    let (_, bucket) = address.prefix.split_once("://").unwrap_or_default();
    let anonymous = matches!(credentials, Credentials::None | Credentials::Profile(_));
    let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let store: object_store::Result<Arc<dyn ObjectStore>> = match address.kind {
        StoreKind::Web => {
            let shared = object_store::client::HttpConnector::connect(&connector, &of_web(options)?);
            return of_file(address, Shared(shared.map_err(invalid)?));
        }
        StoreKind::S3 => {
            let mut builder =
                AmazonS3Builder::from_env().with_bucket_name(bucket).with_skip_signature(anonymous);
            for (key, value) in CLIENT {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
            for (name, value) in options {
                builder = builder.with_config(AmazonS3ConfigKey::from_str(name).map_err(invalid)?, value);
            }
            let builder = builder.with_retry(once).with_http_connector(connector);
            builder.build().map(|store| Arc::new(store) as _)
        }
        StoreKind::Google => {
            let mut builder =
                GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_skip_signature(anonymous);
            for (key, value) in CLIENT {
                builder = builder.with_config(GoogleConfigKey::Client(key), value);
            }
            for (name, value) in options {
                builder = builder.with_config(GoogleConfigKey::from_str(name).map_err(invalid)?, value);
            }
            let builder = builder.with_retry(once).with_http_connector(connector);
            builder.build().map(|store| Arc::new(store) as _)
        }
        StoreKind::Azure => {
            let mut builder =
                MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_skip_signature(anonymous);
            for (key, value) in CLIENT {
                builder = builder.with_config(AzureConfigKey::Client(key), value);
            }
            for (name, value) in options {
                builder = builder.with_config(AzureConfigKey::from_str(name).map_err(invalid)?, value);
            }
            let builder = builder.with_retry(once).with_http_connector(connector);
            builder.build().map(|store| Arc::new(store) as _)
        }
    };
    store.map_err(invalid)
}

/// Makes the client of a file on a web server, whose address it keeps whole, with escapes and query. All files of a
/// server share the connections of `shared`.
///
/// # Errors
/// The address is invalid.
pub(super) fn of_file(address: &Address, shared: Shared) -> Result<Arc<dyn ObjectStore>, Failure> {
    let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let builder = HttpBuilder::new().with_url(&address.key).with_retry(once).with_http_connector(shared);
    builder.build().map(|store| Arc::new(store) as _).map_err(invalid)
}

/// Returns the settings of connections to a web server.
///
/// # Errors
/// An option is unknown.
pub(super) fn of_web(options: &Options) -> Result<object_store::ClientOptions, Failure> {
    let mut client = object_store::ClientOptions::new().with_allow_http(true);
    for (key, value) in CLIENT {
        client = client.with_config(key, value);
    }
    for (name, value) in options {
        client = client.with_config(ClientConfigKey::from_str(name).map_err(invalid)?, value);
    }
    Ok(client)
}

fn invalid(error: object_store::Error) -> Failure {
    let reason = match &error {
        object_store::Error::Generic { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    Failure::new(FailureKind::Final, reason, Option::<RemoteHint>::None)
}
