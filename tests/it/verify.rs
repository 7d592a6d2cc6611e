//! `verify`: every kind of damage is found and counted, and `--fix` writes a clean set.

use std::{
    fs::{self, File},
    os::unix::net::UnixListener,
    path::Path,
    process::Command,
};

use pipeline::Rgb;
use serde_json::{Value, json};
use shards::ShardWriter;

use crate::{
    members::{Member, members},
    support::{Entry, Place, Said, jpeg, lines, program, run, succeed},
};

fn verify(patterns: &[&str], more: &[&str]) -> Command {
    let mut command = program();
    command.arg("verify").arg("--shards").args(patterns).args(more);
    command
}

/// Returns the printed objects: one for each shard, then the totals.
fn objects(said: &Said) -> Vec<Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn entry(number: usize, label: usize) -> Entry {
    Entry { key: format!("{number:05}"), image: jpeg(number), label: Some(label.to_string()) }
}

/// Writes a good shard, seven with a kind of damage each, and one with other members. Returns their pattern.
///
/// Labels are mixed, except in `x-5`, whose samples are all of class 0.
fn damaged(place: &Place) -> String {
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
fn assert_counts(object: &Value, expected: &Value) {
    for (name, value) in object.as_object().unwrap() {
        if !["shard", "shards", "samples", "kept", "labelled", "fixed", "tolerated_kinds"].contains(&&**name)
            || expected.get(name).is_some()
        {
            assert_eq!(value, expected.get(name).unwrap_or(&json!(0)), "{name} of {object}");
        }
    }
}

#[test]
fn each_kind_of_damage_is_found_and_counted() {
    let place = Place::new();
    let pattern = damaged(&place);
    let report = place.path("report.jsonl");
    let said = run(verify(&[&pattern], &["--workers", "2", "--report"]).arg(&report));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let objects = objects(&said);
    let expected = [
        json!({ "samples": 20, "kept": 20, "labelled": 20 }),
        json!({ "samples": 20, "kept": 16, "undecodable": 4 }),
        json!({ "samples": 20, "kept": 19, "truncated": 1, "fault": 1 }),
        json!({ "samples": 22, "kept": 22, "labelled": 22, "duplicate": 1 }),
        json!({ "samples": 20, "kept": 19, "labelled": 18, "unlabelled": 1, "bad_label": 1, "outlier": 2, "identical": 1,
            "contradicting": 1 }),
        json!({ "samples": 40, "kept": 40, "sorted": 1 }),
        json!({ "samples": 0, "kept": 0, "fault": 1 }),
        json!({ "samples": 0, "kept": 0, "fault": 1 }),
        json!({ "samples": 20, "kept": 20, "labelled": 20, "ignored": 20 }),
        json!({ "shards": 9, "samples": 162, "kept": 156, "undecodable": 4, "truncated": 1, "fault": 3, "duplicate": 1,
            "ignored": 20, "unlabelled": 1, "bad_label": 1, "outlier": 2, "identical": 1, "contradicting": 1, "sorted": 1 }),
    ];
    assert_eq!(objects.len(), expected.len());
    objects.iter().zip(&expected).for_each(|(object, expected)| assert_counts(object, expected));

    let findings = lines(&report);
    assert_eq!(findings.len(), 16);
    let keys = |kind: &str| -> Vec<&str> {
        let own = findings.iter().filter(|finding| finding["kind"] == kind);
        own.map(|finding| finding["key"].as_str().unwrap()).collect()
    };
    assert_eq!(keys("undecodable"), ["00103", "00105", "00107", "00109"]);
    assert_eq!((keys("truncated"), keys("bad_label")), (vec!["00219"], vec!["00404"]));
    assert_eq!((keys("duplicate"), keys("unlabelled")), (vec!["00305"], vec!["00402"]));
    assert_eq!((keys("identical"), keys("contradicting")), (vec!["00410"], vec!["00412"]));
    assert_eq!(keys("outlier"), ["00406", "00408"]);
    let contradicting = findings.iter().find(|finding| finding["kind"] == "contradicting").unwrap();
    assert!(contradicting["reason"].as_str().unwrap().contains("`00002`"), "{contradicting}");
    for words in [
        "6 of 162 samples",
        "hint: add --fix OUT",
        "1 keys occur in several shards",
        "`00103`",
        "--shuffle global",
        "not a tar",
    ] {
        assert!(said.stderr.contains(words), "no `{words}` in {}", said.stderr);
    }
}

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

/// Webcams write such JPEGs, sets of cats and dogs contain them, and Pillow shows them without a warning.
#[test]
fn unusual_but_complete_jpegs_are_counted_by_kind_and_kept() {
    let place = Place::new();
    let mut entries: Vec<Entry> = (0..12).map(|number| entry(number, number % 3)).collect();
    for number in [2, 5, 7] {
        let end = entries[number].image.len() - 2;
        entries[number].image.splice(end..end, [0; 18]);
    }
    let version = entries[7].image.windows(5).position(|bytes| bytes == b"JFIF\0").unwrap() + 5;
    entries[7].image[version] = 2;
    place.write("odd.tar", entries);
    let (shard, out) = (place.path("odd.tar"), place.path("out"));
    let report = place.path("report.jsonl");
    let mut command = verify(&[shard.to_str().unwrap()], &["--fix"]);
    let said = succeed(command.arg(&out).arg("--report").arg(&report));
    for object in objects(&said) {
        assert_eq!((&object["kept"], &object["tolerated"]), (&json!(12), &json!(3)), "{object}");
        assert_eq!(object["tolerated_kinds"], json!({ "extraneous_bytes": 3, "jfif_version": 1 }));
    }
    assert!(said.stderr.contains("tolerated: 3 with extraneous bytes before a marker"), "{}", said.stderr);
    let findings = lines(&report);
    let keys: Vec<_> = findings.iter().map(|finding| (&finding["kind"], &finding["key"])).collect();
    let expected = ["00002", "00005", "00007"].map(|key| (json!("tolerated"), json!(key)));
    assert_eq!(keys, expected.each_ref().map(|(kind, key)| (kind, key)));
    assert_eq!(fs::read(out.join("odd.tar")).unwrap(), fs::read(shard).unwrap());
}

/// libjpeg reads the limit of its memory from `JPEGMEM`, in kB. The scans of a progressive image need more.
#[test]
fn an_image_that_does_not_fit_into_memory_is_neither_bad_nor_removed() {
    let place = Place::new();
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    let (width, height, format) = (64, 64, turbojpeg::PixelFormat::RGB);
    let pixels: &[u8] = &[90; 64 * 64 * 3];
    let image = turbojpeg::Image { pixels, width, pitch: 3 * width, height, format };
    let large = compressor.compress_to_vec(image).unwrap();
    place.write("m.tar", [entry(0, 0), Entry { image: large, ..entry(1, 1) }]);
    let (shard, out) = (place.path("m.tar"), place.path("out"));
    let shard = shard.to_str().unwrap();
    let said = run(verify(&[shard], &["--fix"]).arg(&out).env("JPEGMEM", "1"));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("needs more memory to be decoded than there is"), "{}", said.stderr);
    assert!(
        said.stderr
            .contains("its unread samples need not be bad: neither this shard nor any after it is written"),
        "{}",
        said.stderr
    );
    assert!(!out.join("m.tar").exists());
    succeed(verify(&[shard], &["--fix"]).arg(&out));
    assert_eq!(members(&out.join("m.tar")).len(), 4);
}

/// Writes a tar with these members.
fn tar(path: &Path, members: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(File::create(path).unwrap());
    for (name, data) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, name, *data).unwrap();
    }
    builder.finish().unwrap();
}

/// Writes two shards with every kind of unusual member. Returns their pattern.
fn unusual(place: &Place) -> String {
    let images: Vec<Vec<u8>> = (0..10).map(jpeg).collect();
    let image = |number: usize| images[number].as_slice();
    tar(
        &place.path("u-0.tar"),
        &[
            ("cat.0.jpg", image(0)),
            ("cat.1.jpg", image(1)),
            ("m.jpg", image(2)),
            ("m.mask.png", b"mask"),
            ("o.jpg", image(3)),
            ("o.cls", b"1"),
            ("o.jpg", image(4)),
            ("o.cls", b"0"),
            ("t.jpg", image(5)),
            ("t.json", br#"{"label": "dog"}"#),
            ("cat.0.cls", b"1"),
            ("nobody.cls", b"1"),
            ("notes.csv", b"1,2"),
            ("images/pet.jpg", image(8)),
            ("annotations/trimaps/pet.png", image(9)),
        ],
    );
    tar(
        &place.path("u-1.tar"),
        &[("cat.0.jpg", image(6)), ("cat.0.cls", b"0"), ("x.jpg", image(7)), ("x.cls", b"1")],
    );
    let second =
        [fs::read(place.path("u-1.tar")).unwrap(), fs::read(place.path("u-1.tar")).unwrap()].concat();
    fs::write(place.path("u-1.tar"), second).unwrap();
    let mut builder = tar::Builder::new(File::options().append(true).open(place.path("u-1.tar")).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link.jpg", "/data/elsewhere.jpg").unwrap();
    builder.finish().unwrap();
    place.path("u-<0..1>.tar").to_str().unwrap().to_owned()
}

/// `verify` counts unusual members by kind, `--fix` loses nothing good, and commands that open a set name each kind once.
#[test]
fn unusual_members_are_named_by_kind_and_kept_by_fix() {
    let place = Place::new();
    let pattern = unusual(&place);
    let said = run(&mut verify(&[&pattern], &[]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for words in ["3 labels or links cannot be used", "hint: write labels as integers"] {
        assert!(said.stderr.contains(words), "no `{words}` in {}", said.stderr);
    }
    let expected = json!({ "shards": 2, "samples": 12, "kept": 12, "labelled": 7, "unread_label": 1, "stray_label": 1, "link": 1,
        "duplicate": 3, "identical": 2, "unlabelled": 4, "apart_label": 1, "dotted_name": 4, "second_image": 1, "mask_folder": 1,
        "concatenated": 2, "ignored": 1 });
    assert_counts(&objects(&said).pop().unwrap(), &expected);

    let out = place.path("out");
    let said = succeed(verify(&[&pattern], &["--fix"]).arg(&out));
    let fixed = json!({ "out": out, "shards": 2, "samples": 12, "left_out": 0, "shards_left_out": 0 });
    assert_eq!(objects(&said).pop().unwrap()["fixed"], fixed);
    let names: Vec<_> = members(&out.join("u-0.tar")).into_iter().map(|member| member.name).collect();
    assert_eq!(names[..3], ["cat.0.jpg", "cat.0.cls", "cat.1.jpg"], "the label is next to its image");
    let clean = out.join("u-*.tar");
    let totals = objects(&run(&mut verify(&[clean.to_str().unwrap()], &[]))).pop().unwrap();
    assert_eq!((&totals["samples"], &totals["labelled"]), (&json!(12), &json!(7)));
    assert_eq!((&totals["apart_label"], &totals["concatenated"]), (&json!(0), &json!(0)));

    let plan = ["plan", "--no-measure", "--batch-size", "2", "--shards", &pattern];
    let said = succeed(program().args(plan).env("AMDIM_STREAM_CACHE", place.path("cache")));
    for words in [
        "1 label in `json` is text, not a class number: this sample counts as unlabelled; the first: `t`, shard",
        "1 label is not used: no image of its shard",
        "1 label is stored apart from its image",
        "3 samples have the key of an earlier sample of their shard",
        "4 images have a dot within their name: each is a sample of its own",
        "1 image, such as a mask, is not used, since its sample has another image; the first: `m.mask.png`",
        "1 image lies in a folder named like one of masks, beside a folder of images, and is used as an image: leave that folder out of the shards, as `tar --exclude=FOLDER` does; the first: `annotations/trimaps/pet`",
        "1 link to an image or a label leads to no file of its shard",
        "2 archives follow the end of another one",
        "1 member is neither image nor label and is not read; the first: `notes.csv`",
    ] {
        assert_eq!(said.stderr.matches(words).count(), 1, "`{words}` in {}", said.stderr);
    }
}

#[test]
fn the_output_does_not_depend_on_the_number_of_workers() {
    let place = Place::new();
    let pattern = damaged(&place);
    let outputs = ["1", "2"].map(|workers| {
        let report = place.path(workers);
        let said = run(verify(&[&pattern], &["--workers", workers, "--report"]).arg(&report));
        (said.stdout, fs::read(report).unwrap())
    });
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn findings_that_lose_no_sample_are_not_a_failure() {
    let place = Place::new();
    let samples = (0..40).map(|number| Entry { image: jpeg(number.max(1)), ..entry(number, number / 20) });
    place.write("y.tar", samples);
    place.write("z.tar", (40..80).map(|number| Entry { label: None, ..entry(number, 0) }));
    let pattern = place.path("*.tar");
    let said = succeed(&mut verify(&[pattern.to_str().unwrap()], &[]));
    let totals = objects(&said).pop().unwrap();
    assert_counts(&totals, &json!({ "samples": 80, "unlabelled": 40, "identical": 1 }));
    assert!(said.stderr.contains("and 35 more; --report"), "{}", said.stderr);
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

#[test]
fn wrong_arguments_and_unwritable_files_end_with_a_cause_and_a_hint() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 4);
    place.write("other.tar", (0..2).map(|number| entry(number, 0)));
    fs::create_dir(place.path("a")).unwrap();
    fs::copy(place.path("x-000.tar"), place.path("a/x-000.tar")).unwrap();
    let twin = place.path("a/x-000.tar");
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let refused = |patterns: &[&str], more: &[&str], parts: &[&str], code: i32| {
        let said = run(&mut verify(patterns, more));
        assert_eq!(said.code, Some(code), "{more:?}: {}", said.stderr);
        for part in parts.iter().chain(&["hint: "]) {
            assert!(said.stderr.contains(part), "{more:?}: no `{part}` in {}", said.stderr);
        }
        assert!(said.stdout.is_empty() && said.stderr.lines().count() == 2, "{}", said.stderr);
    };
    refused(&[&path("no-<000..003>.tar")], &[], &["no-000.tar"], 1);
    refused(&[&pattern], &["--fix", &path("")], &["holds the originals"], 2);
    refused(&[&pattern], &["--fix", &path("a")], &["a/x-000.tar` exists already", "--force"], 2);
    refused(&[&pattern], &["--fix", &path("other.tar")], &["is a file, not a folder"], 2);
    refused(&[&pattern, twin.to_str().unwrap()], &["--fix", &path("b")], &["same name"], 2);
    refused(&[&pattern], &["--report", &path("nowhere/r.jsonl")], &["nowhere/r.jsonl"], 2);
    refused(&[&pattern], &["--report", &path("x-000.tar")], &["is a shard"], 2);
    fs::write(place.path("notes.jsonl"), "{\"mine\": 1}\n").unwrap();
    refused(&[&pattern], &["--report", &path("notes.jsonl")], &["is not a report"], 2);
    succeed(&mut verify(&[&pattern], &["--force", "--fix", &path("a")]));
    assert_eq!(fs::read(place.path("x-000.tar")).unwrap(), fs::read(twin).unwrap());
}
