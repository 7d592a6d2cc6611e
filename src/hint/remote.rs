//! The hints of shards on servers in words.

use ::shards::{RemoteHint, StoreKind};

/// Puts a hint into words, with the program's flags and the variables of the environment.
pub(super) fn words(hint: &RemoteHint) -> String {
    match hint {
        RemoteHint::Name => "check the name of the bucket and of the shard".to_owned(),
        RemoteHint::Host => "check the name of the host, and the connection of this machine".to_owned(),
        RemoteHint::Closed => "check that the server runs, and its port".to_owned(),
        RemoteHint::Patience => {
            "run the same command again when the server answers; --remote-patience 2h waits longer".to_owned()
        }
        RemoteHint::Credentials { from: Some(place), store } => {
            format!(
                "the credentials come from {place}: check that they are valid and permit reading, {}",
                renewal(*store)
            )
        }
        RemoteHint::Credentials { from: None, store } => {
            format!("no credentials were found: {}", given(*store))
        }
        RemoteHint::Profile(profile) => format!(
            "profiles of the AWS command line are not read; export the credentials of the profile: eval \"$(aws configure \
             export-credentials --profile {profile} --format env)\""
        ),
        RemoteHint::Presigned => {
            "a presigned address expires, and permits one object and one method: make a new one for GET"
                .to_owned()
        }
        RemoteHint::Region(Some(region)) => format!("set AWS_REGION={region}, the region of the bucket"),
        RemoteHint::Region(None) => "set AWS_REGION to the region of the bucket".to_owned(),
        RemoteHint::Clock => "set the clock of this machine".to_owned(),
        RemoteHint::Ranges => {
            "use a server that answers requests for byte ranges, or download the shards".to_owned()
        }
        RemoteHint::WebPage => {
            "open the address in a browser: it may be a login page, or that of a proxy".to_owned()
        }
        RemoteHint::Certificate => {
            "check the host name; SSL_CERT_FILE names a file with the certificate of an authority of your own"
                .to_owned()
        }
        RemoteHint::Unencrypted { prefix } => format!(
            "set AWS_ALLOW_HTTP=true for s3://, or write `allow_http = \"true\"` under [data.stores.\"{prefix}\"] in the file of --config"
        ),
    }
}

/// Says where credentials are given.
fn given(store: StoreKind) -> &'static str {
    match store {
        StoreKind::S3 => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones)"
        }
        StoreKind::Google => {
            "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
        }
        StoreKind::Azure => {
            "set AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
        }
        StoreKind::Web => "use a presigned address",
    }
}

/// Says how credentials that have expired are renewed.
fn renewal(store: StoreKind) -> &'static str {
    match store {
        StoreKind::S3 => "and export temporary ones anew",
        StoreKind::Google => "or run `gcloud auth application-default login` again",
        StoreKind::Azure => "or make a new token",
        StoreKind::Web => "or make a new address",
    }
}
