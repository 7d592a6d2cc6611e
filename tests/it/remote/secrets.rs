//! What is secret is written nowhere.

use std::{fs, path::Path};

use super::served::Served;
use crate::support::{run, succeed};

const SECRETS: [&str; 4] =
    ["AKIDEXAMPLEKEY0", "wJalrXUtnFEMIsecret", "FQoGZXIvYXdzEtoken", "0ddba11signature"];

/// Returns the files below a folder that contain a secret.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(leaks(&entry.path()));
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let has = |secret: &&&str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        found
            .extend(SECRETS.iter().find(has).map(|secret| format!("{secret} in {}", entry.path().display())));
    }
    found
}

#[test]
fn keys_tokens_and_signed_queries_are_written_nowhere() {
    let served = Served::new(1, 60);
    let url = format!("{}?X-Amz-Signature={}&x=1", served.server.url("bucket/train-000.tar"), SECRETS[3]);
    let list = served.place.path("list");
    fs::create_dir(&list).unwrap();
    for (scheme, pattern) in [("s3", served.pattern("s3")), ("http", url)] {
        let val = format!("--val-shards={pattern}");
        let mut command = served.place.train(&pattern, scheme, &["--steps", "6", "--seed", "3", &val]);
        command.arg("--config").arg(served.place.path("stores.toml"));
        command.arg("--cache-dir").arg(served.place.path("parts"));
        command.env("AWS_ACCESS_KEY_ID", SECRETS[0]).env("AWS_SECRET_ACCESS_KEY", SECRETS[1]);
        command.env("AWS_SESSION_TOKEN", SECRETS[2]).env("RUST_LOG", "trace");
        let said = succeed(&mut command);
        for secret in SECRETS {
            assert!(
                !said.stderr.contains(secret) && !said.stdout.contains(secret),
                "{secret} is in the messages"
            );
        }
        served.server.require_authorization(scheme == "s3");
        let again = run(&mut command);
        assert!(!SECRETS.iter().any(|secret| again.stderr.contains(secret)), "{}", again.stderr);
        served.server.require_authorization(false);
    }
    assert!(served.server.requests().iter().any(|logged| logged.asked.authorized), "the key was used");
    assert_eq!(leaks(&served.place.path("")), Vec::<String>::new());
}
