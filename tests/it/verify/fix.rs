//! The shards that `--fix` writes.

use std::{fs, os::unix::net::UnixListener, path::Path};

use serde_json::json;

use super::support::{assert_counts, damaged, objects, verify};
use crate::{
    members::{Member, members},
    support::{Place, jpeg, run, succeed},
};

/// Returns the members of a shard whose names are kept.
fn of_keys(shard: &Path, keep: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let members = members(shard).into_iter().filter(|member| keep(&member.name));
    members.map(|Member { name, data }| (name, data)).collect()
}

#[test]
fn fixed_shards_are_clean_and_contain_the_good_members_byte_for_byte() {
    let place = Place::new();
    let pattern = damaged(&place);
    let out = place.path("out");
    let said = succeed(verify(&[&pattern], &["--fix"]).arg(&out));
    let totals = objects(&said).pop().unwrap();
    let fixed = json!({ "out": out, "shards": 7, "samples": 156, "left_out": 6, "shards_left_out": 2 });
    assert_eq!(totals["fixed"], fixed);

    let clean = out.join("x-*.tar");
    let said = succeed(&mut verify(&[clean.to_str().unwrap()], &[]));
    let totals = objects(&said).pop().unwrap();
    let hints = json!({ "samples": 156, "kept": 156, "duplicate": 1, "ignored": 20, "unlabelled": 1, "outlier": 2, "identical": 1, "contradicting": 1,
        "sorted": 1 });
    assert_counts(&totals, &hints);

    for whole in ["x-0.tar", "x-3.tar", "x-5.tar", "x-8.tar"] {
        assert_eq!(fs::read(place.path(whole)).unwrap(), fs::read(out.join(whole)).unwrap(), "{whole}");
    }
    for (shard, lost) in [("x-1.tar", &["00103", "00105", "00107", "00109"][..]), ("x-4.tar", &["00404"])] {
        let good = of_keys(&place.path(shard), |name| !lost.iter().any(|key| name.starts_with(key)));
        assert_eq!(of_keys(&out.join(shard), |_| true), good);
    }
    let second = of_keys(&out.join("x-2.tar"), |_| true);
    assert_eq!(second.len(), 38);
    assert!((0..19).all(|k| second[2 * k].1 == jpeg(200 + k)));
}

#[test]
fn shards_that_cannot_be_opened_do_not_count_as_damaged() {
    let place = Place::new();
    let pattern = place.shards("x", 3, 4);
    let fix = || {
        let mut command = verify(&[&pattern], &["--force", "--fix"]);
        command.arg(place.path("clean"));
        command
    };
    succeed(&mut fix());
    // A socket cannot be opened, even by root, like a file without permissions.
    fs::remove_file(place.path("x-001.tar")).unwrap();
    let _socket = UnixListener::bind(place.path("x-001.tar")).unwrap();
    let said = run(&mut fix());
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("x-001.tar` could not be read completely"), "{}", said.stderr);
    assert!(place.path("clean/x-001.tar").exists(), "the earlier cleaned shard is kept");
}
