//! Members that are neither an image nor its label, or lie in an unusual place.

use std::{
    fs::{self, File},
    path::Path,
};

use serde_json::json;

use super::support::{assert_counts, objects, verify};
use crate::{
    members::members,
    support::{Place, jpeg, program, run, succeed},
};

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

/// `verify` counts unusual members by kind, `--fix` loses nothing good, and commands that open a set name
/// each kind once.
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
