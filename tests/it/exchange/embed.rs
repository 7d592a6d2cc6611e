//! Files of features.

use std::fs;

use super::support::{command, python, trained};
use crate::support::{Entry, Place, jpeg, lines, run, succeed};

/// Writes two shards: 70 labelled images, then three samples without a label, the first of which is not an
/// image.
fn shards_to_embed(place: &Place) {
    place.write(
        "some-000.tar",
        (0..70).map(|number| Entry {
            key: format!("a/{number}"),
            image: jpeg(number),
            label: Some("1".into()),
        }),
    );
    let images = [Vec::from(*b"no image"), jpeg(3), jpeg(4)];
    let mixed = images.into_iter().enumerate();
    place.write(
        "some-001.tar",
        mixed.map(|(number, image)| Entry { key: format!("b{number}"), image, label: None }),
    );
}

#[test]
fn embeddings_are_the_same_in_both_formats_and_an_interrupted_call_is_continued() {
    let (place, _) = trained(&[]);
    shards_to_embed(&place);
    let embed = |format: &str, layer: &str, out: &str| {
        let words = [
            "embed",
            "--checkpoint",
            "run",
            "--shards",
            "some-<000..001>.tar",
            "--format",
            format,
            "--layer",
            layer,
            "--out",
            out,
            "--device",
            "cpu",
        ];
        command(&place, &words)
    };
    let report = |said: &str| -> serde_json::Value { serde_json::from_str(said).unwrap() };
    let said = succeed(&mut embed("parquet", "r5", "p"));
    let first = report(&said.stdout);
    assert!(first["samples"] == 72 && first["left_out"] == 1 && first["width"] == 16, "{first}");
    assert!(said.stderr.contains("bad samples left out: 1"), "{}", said.stderr);
    assert_eq!(first["first_left_out"]["key"], "b0", "{first}");
    let list = lines(&place.path("p/00001-some-001.left-out.jsonl"));
    assert!(
        list.len() == 1
            && list[0] == first["first_left_out"]
            && !place.path("p/00000-some-000.left-out.jsonl").exists()
    );
    succeed(&mut embed("npy", "r5", "n"));
    let [parquet, npy] = ["p", "n"].map(|name| place.path(name).to_str().unwrap().to_owned());
    assert_eq!(python(&["embeddings", &parquet, &npy]).trim(), "72");
    // The sample without an image is left out, and the others keep their keys.
    assert_eq!(fs::read_to_string(place.path("n/00001-some-001.tsv")).unwrap(), "b1\t\nb2\t\n");
    let part = place.path("p/00000-some-000.parquet");
    let before = fs::read(&part).unwrap();
    fs::remove_file(&part).unwrap();
    fs::write(place.path("p/00000-some-000.parquet.partial"), "cut").unwrap();
    let again = report(&succeed(&mut embed("parquet", "r5", "p")).stdout);
    assert!(again["done_before"] == 1 && again["samples"] == 70 && again["left_out"] == 1, "{again}");
    assert_eq!(fs::read(&part).unwrap(), before);
    let said = run(&mut embed("parquet", "r7", "p"));
    assert!(
        said.code == Some(2) && said.stderr.contains("another layer: r5 then, r7 now"),
        "{}",
        said.stderr
    );
    let anew = report(&succeed(embed("npy", "r7", "p").arg("--force")).stdout);
    assert!(anew["done_before"] == 0 && anew["samples"] == 72 && !part.exists(), "{anew}");
    let said = run(&mut embed("parquet", "r7", "p.parquet"));
    assert!(said.code == Some(2) && said.stderr.contains("writes a file for each shard"), "{}", said.stderr);
    let said = run(&mut embed("parquet", "r7", "."));
    assert!(said.code == Some(2) && said.stderr.contains("nor a folder of embeddings"), "{}", said.stderr);
    let said = run(&mut embed("parquet", "r3", "q"));
    assert!(said.code == Some(2) && said.stderr.contains("one of r1, r5, r7"), "{}", said.stderr);
}
