//! The command, its output, and sets of damaged shards.

use std::{fs, process::Command};

use pipeline::Rgb;
use serde_json::{Value, json};
use shards::ShardWriter;

use crate::support::{Entry, Place, Said, jpeg, program};

pub(super) fn verify(patterns: &[&str], more: &[&str]) -> Command {
    let mut command = program();
    command.arg("verify").arg("--shards").args(patterns).args(more);
    command
}

/// Returns the printed objects: one for each shard, then the totals.
pub(super) fn objects(said: &Said) -> Vec<Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn entry(number: usize, label: usize) -> Entry {
    Entry { key: format!("{number:05}"), image: jpeg(number), label: Some(label.to_string()) }
}

/// Writes a good shard, seven with a kind of damage each, and one with other members. Returns their pattern.
///
/// Labels are mixed, except in `x-5`, whose samples are all of class 0.
pub(super) fn damaged(place: &Place) -> String {
    let label = |number: usize| (number * number / 7) % 4;
    let samples = |shard: usize, count: usize| {
        (0..count).map(move |k| 100 * shard + k).map(move |number| entry(number, label(number)))
    };
    place.write("x-0.tar", samples(0, 20));
    // A truncated image, one that is not an image, an empty one, and one with damage in the last rows.
    let mut bad: Vec<Entry> = samples(1, 20).collect();
    let length = bad[3].image.len();
    bad[3].image.truncate(length / 2);
    bad[5].image = b"<html>not found</html>".to_vec();
    bad[7].image.clear();
    let end = bad[9].image.len() - 40;
    bad[9].image[end..end + 20]
        .copy_from_slice(&[0xFF, 0xC4, 0, 4, 0, 0, 0xFF, 0xD8, 0xFF, 0xDA, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0]);
    place.write("x-1.tar", bad);
    // The shard is truncated within the last image.
    place.write("x-2.tar", samples(2, 20));
    let whole = fs::read(place.path("x-2.tar")).unwrap();
    let last = 1024 + 512 + 512 + jpeg(219).len().next_multiple_of(512) - 512 + 512;
    fs::write(place.path("x-2.tar"), &whole[..whole.len() - last]).unwrap();
    // A key of an earlier sample, and one of another shard.
    let again = [(305, 1), (0, 2)].map(|(number, label)| entry(number, label));
    let again = again.into_iter().map(|entry| Entry { image: jpeg(1000 + entry.image.len()), ..entry });
    place.write("x-3.tar", samples(3, 20).chain(again));
    // No label, a label that is not a number, a huge image, a tiny one, a duplicate image, and a duplicate with another label.
    let mut odd: Vec<Entry> = samples(4, 20).collect();
    odd[2].label = None;
    odd[4].label = Some("cat".to_owned());
    odd[6].image = pipeline::encode_jpeg(&Rgb::black(400, 360), 90).unwrap();
    odd[8].image = pipeline::encode_jpeg(&Rgb::black(2, 2), 90).unwrap();
    (odd[10].image, odd[10].label) = (jpeg(1), Some(label(1).to_string()));
    (odd[12].image, odd[12].label) = (jpeg(2), Some((label(2) + 1).to_string()));
    place.write("x-4.tar", odd);
    place.write("x-5.tar", (0..40).map(|k| entry(500 + k, 0)));
    fs::write(place.path("x-6.tar"), "hello ".repeat(1000)).unwrap();
    fs::write(place.path("x-7.tar"), "").unwrap();
    // Members that are not images, and labels in JSON.
    let mut writer = ShardWriter::create(place.path("x-8.tar")).unwrap();
    for k in 0..20 {
        let json = format!("{{\"label\": {}, \"text\": \"a cat\"}}", label(k + 800));
        let members = [("json", json.as_bytes()), ("jpg", &jpeg(800 + k)), ("seg.bin", &[k as u8; 600])];
        writer.append(&format!("folder.of/{k}"), &members).unwrap();
    }
    writer.finish().unwrap();
    place.path("x-<0..8>.tar").to_str().unwrap().to_owned()
}

/// Checks the expected counts, and that all others are zero.
pub(super) fn assert_counts(object: &Value, expected: &Value) {
    for (name, value) in object.as_object().unwrap() {
        if !["shard", "shards", "samples", "kept", "labelled", "fixed", "tolerated_kinds"].contains(&&**name)
            || expected.get(name).is_some()
        {
            assert_eq!(value, expected.get(name).unwrap_or(&json!(0)), "{name} of {object}");
        }
    }
}
