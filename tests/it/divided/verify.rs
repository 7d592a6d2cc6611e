//! `verify` in several processes.

use std::{fs, path::Path, process::Command};

use super::ranks::{files, lead_of};
use crate::support::{Entry, Place, jpeg, program};

/// Writes five shards into the folder `shards`: an image that is in each of them, damaged images in three, an unlabelled
/// sample, and a cut shard.
fn prepare(place: &Place) {
    fs::create_dir(place.path("shards")).unwrap();
    for shard in 0..5usize {
        let image = |k: usize| match k {
            0 => jpeg(0), // with different labels in different shards
            1 if shard > 2 => jpeg(30 + shard)[..150].to_vec(),
            2 if shard == 1 => b"no image".to_vec(),
            k => jpeg(100 + 10 * shard + k),
        };
        let label = |k: usize| (shard != 2 || k != 4).then(|| ((shard + k) % 3).to_string());
        let samples = 4 + 3 * shard;
        let entry =
            |k: usize| Entry { key: format!("{:03}", shard / 2 * 50 + k), image: image(k), label: label(k) };
        place.write(&format!("shards/s-{shard}.tar"), (0..samples).map(entry));
    }
    let path = place.path("shards/s-4.tar");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
}

fn verify(folder: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.current_dir(folder).args(["verify", "--shards", "../shards/s-<0..4>.tar"]).args(more);
    command
}

#[test]
fn processes_that_divide_the_shards_find_what_one_process_does() {
    let place = Place::new();
    prepare(&place);
    let mut expected = None;
    for size in [1, 2, 3] {
        let folder = place.path(&size.to_string());
        fs::create_dir(&folder).unwrap();
        let said = lead_of(size, 1, || verify(&folder, &["--report", "report.jsonl"]));
        let report = fs::read_to_string(folder.join("report.jsonl")).unwrap();
        for kind in ["undecodable", "contradicting", "unlabelled", "fault"] {
            assert!(report.contains(&format!("\"kind\":\"{kind}\"")), "{kind}: {report}");
        }
        let (stdout, code, reported) =
            expected.get_or_insert_with(|| (said.stdout.clone(), said.code, report.clone()));
        assert_eq!((&said.stdout, &said.code, &report), (&*stdout, &*code, &*reported), "{size} processes");
    }
}

#[test]
fn processes_write_the_clean_shards_of_one_process() {
    let place = Place::new();
    prepare(&place);
    let clean = |size: usize| {
        let folder = place.path(&size.to_string());
        fs::create_dir(&folder).unwrap();
        let said = lead_of(size, 0, || verify(&folder, &["--fix", "clean"]));
        (said.stdout, files(&folder.join("clean")))
    };
    let (expected, cleaned) = (clean(1), clean(3));
    assert_eq!(expected.1.len(), 2 * 5, "shards and their indices");
    assert_eq!(cleaned.0, expected.0);
    assert!(cleaned.1 == expected.1);
}
