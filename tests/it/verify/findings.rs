//! The findings and their counts.

use std::fs;

use serde_json::json;

use super::support::{assert_counts, damaged, entry, objects, verify};
use crate::support::{Entry, Place, jpeg, lines, run, succeed};

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
