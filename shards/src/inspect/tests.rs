use super::*;
use crate::MemorySource;

/// Writes a tar of these members with the `tar` crate.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, name, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn inspect(bytes: impl Into<bytes::Bytes>) -> Inspection {
    let name = ShardName::from("x.tar");
    Inspection::open(&MemorySource::new().with(name.clone(), bytes), &name).unwrap()
}

/// Returns the keys with whether the sample is bad.
fn samples(shard: &Inspection) -> Vec<(&str, bool)> {
    let sample = |sample: &Inspected| sample.bad.is_some();
    shard.samples().iter().map(|own| (std::str::from_utf8(&own.key).unwrap(), sample(own))).collect()
}

/// Copies the shard without these samples, and returns the copy's bytes.
fn copy(shard: &Inspection, without: &[usize]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    shard.copy(|number| !without.contains(&number), &path).unwrap();
    std::fs::read(path).unwrap()
}

const THREE: [(&str, &[u8]); 7] = [
    ("README", b"no sample"),
    ("a.jpg", b"one"),
    ("a.cls", b"1"),
    ("b.jpg", &[7; 700]),
    ("b.cls", b"2"),
    ("c.jpg", b"three"),
    ("c.cls", b"2"),
];

#[test]
fn a_copy_without_samples_is_the_shard_that_never_had_them() {
    let shard = inspect(tar(&THREE));
    assert_eq!(copy(&shard, &[]), tar(&THREE));
    assert_eq!(copy(&shard, &[1]), tar(&[&THREE[..3], &THREE[5..]].concat()));
    assert_eq!(copy(&shard, &[0, 2]), tar(&[&THREE[..1], &THREE[3..5]].concat()));
}

#[test]
fn complete_samples_of_a_cut_shard_can_be_copied_and_the_others_are_bad() {
    let whole = tar(&THREE);
    // In blocks of 512 bytes: `README` 0, `a.jpg` 2, `a.cls` 4, `b.jpg` 6, `b.cls` 9, `c.jpg` 11, `c.cls` 13,
    // end mark 15.
    for (length, samples_left, bad) in [
        (512 * 7 + 100, 2, 1),
        (512 * 9, 2, 0),
        (512 * 9 + 100, 2, 1),
        (512 * 11, 2, 0),
        (512 * 11 + 100, 2, 0),
        (512 * 13, 3, 0),
        (512 * 14, 3, 1),
        (512 * 14 + 1, 3, 0),
        (512 * 15, 3, 0),
    ] {
        let shard = inspect(whole[..length].to_vec());
        let found = samples(&shard);
        assert_eq!(found.len(), samples_left, "{length}: {found:?} {:?}", shard.faults());
        assert_eq!(found.iter().filter(|(_, is_bad)| *is_bad).count(), bad, "{length}: {found:?}");
        assert_eq!(shard.faults().len(), 1, "{length}");
        let bad: Vec<_> = (0..found.len()).filter(|&number| found[number].1).collect();
        let copied = inspect(copy(&shard, &bad));
        assert!(copied.faults().is_empty(), "{length}: {:?}", copied.faults());
        assert_eq!(copied.samples().len(), found.len() - bad.len(), "{length}");
    }
}

#[test]
fn a_missing_end_mark_or_unread_member_does_not_make_the_last_sample_bad() {
    let members: [(&str, &[u8]); 6] = [
        ("a.jpg", b"1"),
        ("a.cls", b"1"),
        ("a.txt", b"a caption"),
        ("b.png", b"2"),
        ("b.cls", b"2"),
        ("c.txt", b""),
    ];
    let whole = tar(&members);
    for length in [512 * 10, 512 * 10 + 100, 512 * 11] {
        let shard = inspect(whole[..length].to_vec());
        assert_eq!(samples(&shard), [("a", false), ("b", false)], "{length}");
        assert_eq!(shard.faults().len(), 1, "{length}");
    }
    assert_eq!(samples(&inspect(whole[..512 * 8 + 100].to_vec())), [("a", false), ("b", true)]);
}

#[test]
fn masks_stored_apart_are_copied_to_their_images() {
    let members: [(&str, &[u8]); 6] = [
        ("a.jpg", b"1"),
        ("b.jpg", b"2"),
        ("b.cls", b"no class"),
        ("St.Bernard.jpg", b"3"),
        ("a.mask.png", b"m"),
        ("b.mask.png", b"m"),
    ];
    let shard = inspect(tar(&members));
    assert_eq!(samples(&shard), [("a", false), ("b", true), ("St.Bernard", false)]);
    let expected = [members[0], members[4], members[3]];
    assert_eq!(copy(&shard, &[1]), tar(&expected));
    let dotted = shard.findings().iter().find(|finding| finding.kind == RemarkKind::Dotted);
    assert_eq!(dotted.and_then(|finding| finding.sample), Some(2));
}

#[test]
fn a_repeated_member_begins_another_sample_of_the_same_key() {
    let shard = inspect(tar(&[("a.jpg", b"1"), ("a.cls", b"1"), ("a.JPG", b"2"), ("a.cls", b"2")]));
    assert_eq!(samples(&shard), [("a", false), ("a", false)]);
    assert_eq!(shard.samples()[1].label, Some(2));
    assert_eq!(shard.image(1).unwrap().read(<[u8]>::to_vec).unwrap(), b"2");
}

#[test]
fn an_invalid_label_makes_only_its_own_sample_bad() {
    let shard = inspect(tar(&[("a.jpg", b"1"), ("a.cls", b"cat"), ("b.jpg", b"2"), ("b.cls", b"2")]));
    assert_eq!(samples(&shard), [("a", true), ("b", false)]);
    let Some(BadReason::Label(reason)) = &shard.samples()[0].bad else { panic!("its label is invalid") };
    assert!(reason.contains("`cat`"), "{reason}");
    assert_eq!(shard.samples()[1].label, Some(2));
}

#[test]
fn data_after_the_end_mark_make_no_sample_bad() {
    let one = tar(&[("a.jpg", b"1"), ("a.cls", b"1"), ("b.jpg", b"2")]);
    let shard = inspect([one.clone(), b"more".to_vec()].concat());
    assert_eq!(samples(&shard), [("a", false), ("b", false)]);
    assert!(shard.faults()[0].reason.contains("end-of-archive"));
    assert_eq!(copy(&shard, &[]), one);
    let two = inspect([one, tar(&THREE)].concat());
    assert_eq!((samples(&two).len(), two.faults().len()), (5, 0));
    let copied = inspect(copy(&two, &[0]));
    assert_eq!((samples(&copied).len(), copied.faults().len()), (4, 0));
    assert!(
        copied.findings().iter().all(|finding| finding.kind == RemarkKind::Repeated),
        "{:?}",
        copied.findings()
    );
}

#[test]
fn labels_stored_apart_are_copied_to_their_images() {
    let apart: [(&str, &[u8]); 7] = [
        ("a.jpg", b"1"),
        ("b.jpg", b"2"),
        ("c.jpg", b"3"),
        ("note", b""),
        ("a.cls", b"1"),
        ("b.cls", b"2"),
        ("c.cls", b"3"),
    ];
    let shard = inspect(tar(&apart));
    assert_eq!(
        shard.samples().iter().map(|sample| sample.label).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    let expected = [apart[0], apart[4], apart[2], apart[6], apart[3]];
    assert_eq!(copy(&shard, &[1]), tar(&expected));
}

#[test]
fn masks_and_captions_are_copied_with_their_image_and_other_members_stay() {
    let members: [(&str, &[u8]); 8] = [
        ("a.mask.png", b"m"),
        ("a.png", b"1"),
        ("a.txt", b"a caption"),
        ("b.0.jpg", b"2"),
        ("b.0.txt", b"another"),
        ("b.1.jpg", b"3"),
        ("c.xml", b"<c/>"),
        ("d.cls", b"5"),
    ];
    let shard = inspect(tar(&members));
    assert_eq!(samples(&shard), [("a", false), ("b.0", false), ("b.1", false)]);
    assert_eq!(copy(&shard, &[]), tar(&members));
    assert_eq!(copy(&shard, &[0]), tar(&members[3..]));
    assert_eq!(copy(&shard, &[1]), tar(&[&members[..3], &members[5..]].concat()));
}

#[test]
fn links_are_copied_as_the_files_that_they_lead_to() {
    let mut builder = tar::Builder::new(tar(&THREE)[..512 * 15].to_vec());
    for (name, kind, target) in [
        ("d.jpg", tar::EntryType::Link, "a.jpg"),
        ("d.cls", tar::EntryType::Symlink, "./a.cls"),
        ("e.jpg", tar::EntryType::Symlink, "nowhere.jpg"),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    let shard = inspect(builder.into_inner().unwrap());
    assert_eq!(samples(&shard).len(), 4);
    assert_eq!((shard.samples()[3].label, shard.findings().len()), (Some(1), 1));
    assert_eq!(shard.image(3).unwrap().read(<[u8]>::to_vec).unwrap(), b"one");
    // The file that they lead to is left out.
    let copied = inspect(copy(&shard, &[0]));
    assert_eq!(samples(&copied), [("b", false), ("c", false), ("d", false)]);
    assert_eq!(copied.samples()[2].label, Some(1));
    assert_eq!(copied.image(2).unwrap().read(<[u8]>::to_vec).unwrap(), b"one");
}
