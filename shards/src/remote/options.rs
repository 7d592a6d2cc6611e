//! Options of stores: the environment, and the table of a prefix in the settings.

use std::{collections::BTreeMap, env, fs, path::Path, str::FromStr};

use object_store::{aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey};

use crate::{RemoteConfig, hint::StoreKind};

/// The options of one store, by their names.
pub(super) type Options = BTreeMap<String, String>;

/// Names of options that hold secrets, which belong into the environment.
const SECRETS: [&str; 9] = [
    "secret",
    "token",
    "password",
    "access_key",
    "account_key",
    "sas",
    "service_account_key",
    "client_secret",
    "bearer",
];

/// Returns the options of the longest prefix in the settings that an address has.
pub(super) fn of_address<'a>(config: &'a RemoteConfig, address: &str) -> Option<(&'a str, &'a Options)> {
    let is_prefix = |prefix: &str| {
        let rest = address.strip_prefix(prefix.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let matching = config.stores.iter().filter(|(prefix, _)| is_prefix(prefix));
    matching.max_by_key(|(prefix, _)| prefix.len()).map(|(prefix, options)| (&**prefix, options))
}

/// Checks the names of the options of a prefix, and that none of them is a secret.
///
/// # Errors
/// What is wrong, as a clause.
pub(crate) fn check(prefix: &str, options: &Options) -> Result<(), String> {
    let (kind, example) = match prefix.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => (StoreKind::S3, "endpoint, region, allow_http, skip_signature"),
        Some("gs") => (StoreKind::Google, "base_url, skip_signature, application_credentials"),
        Some("az") => (StoreKind::Azure, "account_name, endpoint, allow_http, skip_signature"),
        Some("http" | "https") => (StoreKind::Web, "allow_invalid_certificates, proxy_url"),
        _ => return Err("it is no prefix of addresses such as s3://bucket or https://host".to_owned()),
    };
    for name in options.keys() {
        let is_known = match kind {
            StoreKind::S3 => AmazonS3ConfigKey::from_str(name).is_ok(),
            StoreKind::Google => GoogleConfigKey::from_str(name).is_ok(),
            StoreKind::Azure => AzureConfigKey::from_str(name).is_ok(),
            StoreKind::Web => object_store::ClientConfigKey::from_str(name).is_ok(),
        };
        if !is_known {
            return Err(format!("there is no option `{name}`; some that exist: {example}"));
        }
        let is_file = name.ends_with("_file") || name.ends_with("_uri") || name.ends_with("credentials");
        if !is_file && SECRETS.iter().any(|secret| name.contains(secret)) {
            return Err(format!("`{name}` is a secret, which is given in the environment instead"));
        }
    }
    Ok(())
}

/// Credentials that are in sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// They are here: where they come from, in words.
    From(String),
    /// The machine gives them.
    Machine,
    /// Only a profile of the AWS command line, which is not read.
    Profile(String),
    /// There are none.
    None,
}

/// Looks for credentials of a store.
pub(super) fn credentials(kind: StoreKind) -> Credentials {
    let from = |name: &str| Credentials::From(format!("the environment variable {name}"));
    let home =
        |path: &str| env::var_os("HOME").map(|home| Path::new(&home).join(path)).filter(|path| path.exists());
    match kind {
        StoreKind::S3 => {
            let names = [
                "AWS_ACCESS_KEY_ID",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ];
            match (set(&names), env::var("AWS_PROFILE").ok()) {
                (Some(name), _) => from(name),
                _ if is_machine_of("Amazon EC2") => Credentials::Machine,
                (_, Some(profile)) => Credentials::Profile(profile),
                _ if home(".aws/credentials").is_some() => Credentials::Profile("default".to_owned()),
                _ => Credentials::None,
            }
        }
        StoreKind::Google => {
            let names =
                ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"];
            match (set(&names), home(".config/gcloud/application_default_credentials.json")) {
                (Some(name), _) => from(name),
                (_, Some(path)) => Credentials::From(format!("the file `{}`", path.display())),
                _ if is_machine_of("Google") => Credentials::Machine,
                _ => Credentials::None,
            }
        }
        StoreKind::Azure => {
            let names = [
                "AZURE_STORAGE_ACCOUNT_KEY",
                "AZURE_STORAGE_SAS_KEY",
                "AZURE_CLIENT_ID",
                "AZURE_FEDERATED_TOKEN_FILE",
            ];
            match set(&names) {
                Some(name) => from(name),
                None if is_machine_of("Microsoft Corporation") => Credentials::Machine,
                None => Credentials::None,
            }
        }
        StoreKind::Web => Credentials::None,
    }
}

/// Returns the first of these environment variables that is set.
fn set(names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Returns whether this machine is one of a cloud that gives credentials to its machines.
fn is_machine_of(vendor: &str) -> bool {
    let vendor_file = fs::read_to_string("/sys/class/dmi/id/sys_vendor");
    vendor_file.is_ok_and(|found| found.trim() == vendor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(names: &[&str]) -> Options {
        names.iter().map(|&name| (name.to_owned(), "x".to_owned())).collect()
    }

    #[test]
    fn options_are_known_and_no_secrets() {
        assert_eq!(
            check("s3://b", &options(&["endpoint", "region", "allow_http", "web_identity_token_file"])),
            Ok(())
        );
        assert_eq!(check("https://h", &options(&["proxy_url"])), Ok(()));
        for (prefix, name, words) in [
            ("s3://b", "endpont", "no option `endpont`"),
            ("s3://b", "secret_access_key", "is a secret"),
            ("s3://b", "session_token", "is a secret"),
            ("az://c", "account_key", "is a secret"),
            ("b", "region", "no prefix"),
        ] {
            let error = check(prefix, &options(&[name])).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_longest_prefix_gives_the_options() {
        let mut config = RemoteConfig::default();
        for prefix in ["s3://b", "s3://b/deep/", "s3://bucket"] {
            config.stores.insert(prefix.to_owned(), options(&["region"]));
        }
        let prefix = |address| of_address(&config, address).map(|(prefix, _)| prefix);
        assert_eq!(prefix("s3://b/x.tar"), Some("s3://b"));
        assert_eq!(prefix("s3://b/deep/x.tar"), Some("s3://b/deep/"));
        assert_eq!(prefix("s3://other/x.tar"), None);
    }
}
