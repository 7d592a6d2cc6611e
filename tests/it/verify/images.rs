//! Images that are unusual or large, but good.

use std::fs;

use serde_json::json;

use super::support::{entry, objects, verify};
use crate::{
    members::members,
    support::{Entry, Place, lines, run, succeed},
};

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
