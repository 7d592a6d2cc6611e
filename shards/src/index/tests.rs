use bytes::Bytes;

use super::{scan::scan, shard_index::ShardIndex};
use crate::{Error, RemarkKind, Result, Shard, span::Span};

mod masks;
mod members;

/// Writes a tar of these members with the `tar` crate.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, name, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn scan_bytes(bytes: &[u8]) -> Result<ShardIndex> {
    scan(&"x.tar".into(), &Shard::in_memory(Bytes::copy_from_slice(bytes)))
}

/// Returns key, image and label of each sample.
fn samples(bytes: &[u8]) -> Vec<(String, Vec<u8>, Option<u32>)> {
    let shard = Shard::in_memory(Bytes::copy_from_slice(bytes));
    let read = |span: &Span| {
        let (key, image) = crate::read::sample(&shard, span).unwrap();
        (key, image.read(<[u8]>::to_vec).unwrap(), span.label())
    };
    scan_bytes(bytes).unwrap().spans.iter().map(read).collect()
}

fn faults(bytes: &[u8]) -> Vec<String> {
    scan_bytes(bytes)
        .unwrap()
        .faults
        .into_iter()
        .map(|fault| format!("{}: {}", fault.offset, fault.reason))
        .collect()
}

/// Returns kind, count and first name of each unusual form.
fn remarks(bytes: &[u8]) -> Vec<(RemarkKind, u64, String)> {
    let tallies = scan_bytes(bytes).unwrap().tallies.into_iter();
    tallies.map(|tally| (tally.kind, tally.count, tally.name)).collect()
}

fn labels(members: &[(&str, &[u8])]) -> Vec<Option<u32>> {
    samples(&tar(members)).into_iter().map(|(_, _, label)| label).collect()
}

#[test]
fn a_sample_takes_at_most_32_bytes() {
    assert!(size_of::<Span>() <= 32);
    let span = Span { head: 1, image: 2, length: 3, label: 4 };
    assert_eq!(Span::from_bytes(&span.to_bytes()), span);
}

#[test]
fn neighbours_that_share_a_key_are_one_sample() {
    let bytes = tar(&[
        ("a/1.jpg", b"one"),
        ("a/1.seg.png", b"mask"),
        ("b/1.JPEG", b"two"),
        ("b/1.cls", b"5"),
        ("b/2.x/3.webp", b"three"),
        ("a/1.jpg", b"four"),
    ]);
    let expected =
        [("a/1", "one", None), ("b/1", "two", Some(5)), ("b/2.x/3", "three", None), ("a/1", "four", None)];
    let expected: Vec<_> = expected.map(|(key, image, label)| (key.to_owned(), image.into(), label)).into();
    assert_eq!(samples(&bytes), expected);
}

#[test]
fn hidden_files_and_files_without_extension_are_ignored() {
    let bytes = tar(&[("a/._1.jpg", b"x"), (".hidden.jpg", b"x"), ("README", b"x"), ("a/1.jpg", b"one")]);
    assert_eq!(samples(&bytes), [("a/1".to_owned(), b"one".to_vec(), None)]);
}

#[test]
fn labels_come_from_cls_and_else_from_json() {
    assert_eq!(labels(&[("1.jpg", b""), ("1.cls", b" 12\n")]), [Some(12)]);
    assert_eq!(labels(&[("1.cls", b"-1"), ("1.jpg", b"")]), [None]);
    assert_eq!(labels(&[("1.jpg", b""), ("1.json", br#"{"label": 7, "a": [1]}"#)]), [Some(7)]);
    assert_eq!(labels(&[("1.jpg", b""), ("1.json", br#"{"label": 7}"#), ("1.cls", b"1")]), [Some(1)]);
    assert_eq!(labels(&[("1.cls", b"1"), ("1.jpg", b""), ("1.json", br#"{"label": 7}"#)]), [Some(1)]);
    assert_eq!(labels(&[("1.cls", b"-1"), ("1.jpg", b""), ("1.json", br#"{"label": 7}"#)]), [None]);
}

#[test]
fn an_invalid_class_is_an_error_that_names_shard_key_and_value() {
    let long = [b'1'; 100];
    for value in [&b"-2"[..], b"1000000", b"dog", b"1.5", b"", &long] {
        let error = scan_bytes(&tar(&[("a/1.jpg", b""), ("a/1.cls", value)])).unwrap_err();
        let Error::Label { shard, key, .. } = error else { panic!("{error}") };
        assert_eq!((&*shard, &*key), ("x.tar", "a/1"));
    }
    let error = scan_bytes(&tar(&[("1.jpg", b""), ("1.cls", b"1.5")])).unwrap_err();
    assert_eq!(
        error.to_string().lines().next().unwrap(),
        "shard `x.tar`, sample `1`: label `1.5` in `cls` is not an integer from 0 to 999999, nor -1 for unlabelled"
    );
    assert_eq!(labels(&[("1.jpg", b""), ("1.cls", b"999999")]), [Some(999_999)]);
}

#[test]
fn a_cut_shard_keeps_the_samples_before_the_cut() {
    let whole = tar(&[("1.jpg", &[1; 600]), ("2.jpg", &[2; 600]), ("2.cls", b"3")]);
    let count = |length: usize| scan_bytes(&whole[..length]).unwrap().spans.len();
    // Each member is a header and two blocks.
    assert_eq!((count(whole.len()), faults(&whole)), (2, vec![]));
    assert_eq!(faults(&whole[..1536 + 100]), ["1536: it is cut within a header"]);
    assert_eq!((count(1536 + 100), count(1536)), (1, 1));
    assert_eq!(faults(&whole[..1536]), ["1536: it has no end-of-archive mark, perhaps cut short"]);
    assert_eq!(faults(&whole[..2200]), ["2200: it is cut within a member, perhaps cut short"]);
    assert_eq!(count(2200), 2); // the second is kept, and is an error when it is read
}

#[test]
fn a_damaged_header_ends_the_shard_there() {
    let mut bytes = tar(&[("1.jpg", b"x"), ("2.jpg", b"y")]);
    bytes[1024] ^= 1;
    assert_eq!(scan_bytes(&bytes).unwrap().spans.len(), 1);
    assert_eq!(faults(&bytes), ["1024: it has no valid header at this byte"]);
}

#[test]
fn links_have_no_data_whatever_their_header_says() {
    for kind in *b"12" {
        let mut link = tar(&[("link.jpg", &[1; 512])]);
        link.truncate(512);
        link[156] = kind;
        fix_checksum(&mut link);
        let bytes = [link, tar(&[("1.jpg", b"one")])].concat();
        assert_eq!(samples(&bytes), [("1".to_owned(), b"one".to_vec(), None)]);
        assert_eq!(remarks(&bytes), [(RemarkKind::Link, 1, "link.jpg".to_owned())]);
    }
}

#[test]
fn a_cut_label_is_no_label() {
    let whole = tar(&[("1.jpg", b"x"), ("1.cls", b"123")]);
    let cut = scan_bytes(&whole[..1536 + 2]).unwrap();
    assert_eq!((cut.spans[0].label(), cut.faults.len()), (None, 1));
}

#[test]
fn an_image_that_reaches_past_the_end_is_an_error_when_it_is_read() {
    let cut = &tar(&[("1.jpg", &[1; 600])])[..700];
    let shard = Shard::in_memory(Bytes::copy_from_slice(cut));
    let index = scan_bytes(cut).unwrap();
    let crate::read::Unreadable { key, source: error } =
        crate::read::sample(&shard, &index.spans[0]).unwrap_err();
    assert_eq!(key.as_deref(), Some("1"));
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_shard_without_images_is_a_fault() {
    assert_eq!(faults(b""), ["0: it is empty (0 bytes)"]);
    assert_eq!(faults(&tar(&[])), ["0: it holds no files"]);
    assert_eq!(
        faults(&tar(&[("a.txt", b""), ("b.cls", b"1")])),
        ["0: it holds 2 files but no images (`jpg`, `jpeg`, `png`, `webp`), only `cls`, `txt`"]
    );
    let mut link = tar(&[("link.jpg", b"")]);
    link[156] = b'2';
    fix_checksum(&mut link);
    assert!(faults(&link)[0].contains("1 links to files that are not in it"), "{:?}", faults(&link));
    assert_eq!(scan_bytes(&tar(&[("a.txt", b"")])).unwrap().spans.len(), 0);
}

#[test]
fn an_archive_after_another_is_read_and_other_data_there_is_a_fault() {
    let one = tar(&[("1.jpg", b"one"), ("1.cls", b"1")]);
    let padded = [one.clone(), vec![0; 200_000 / 512 * 512]].concat();
    for first in [&one, &padded, &one[..one.len() - 512].to_vec()] {
        let two = [first.clone(), tar(&[("1.jpg", b"two"), ("2.jpg", b"three")])].concat();
        let keys = samples(&two).into_iter().map(|(key, image, _)| (key, String::from_utf8(image).unwrap()));
        let expected = [("1", "one"), ("1", "two"), ("2", "three")];
        assert_eq!(keys.collect::<Vec<_>>(), expected.map(|(key, image)| (key.to_owned(), image.to_owned())));
        assert_eq!(faults(&two), [""; 0]);
        assert!(remarks(&two).contains(&(RemarkKind::Concatenated, 1, String::new())));
    }
    let reason = "the data after its end-of-archive mark are not a tar and are not read";
    assert_eq!(faults(&[one.clone(), b"more".to_vec()].concat()), [format!("{}: {reason}", one.len())]);
    assert_eq!(faults(&[padded.clone(), vec![7; 600]].concat()), [format!("{}: {reason}", padded.len())]);
}

#[test]
fn a_blank_size_means_no_data() {
    for blank in [0, b' '] {
        let mut empty = tar(&[("1.txt", b"")])[..512].to_vec();
        empty[100..108].fill(blank);
        empty[124..136].fill(blank);
        empty[136..148].fill(blank);
        fix_checksum(&mut empty);
        let mut volume = empty.clone();
        volume[156] = b'V';
        fix_checksum(&mut volume);
        let bytes = [volume, empty, tar(&[("1.jpg", b"one"), ("2.jpg", b"two")])].concat();
        assert_eq!((samples(&bytes).len(), faults(&bytes)), (2, vec![]));
    }
}

#[test]
fn a_file_that_is_not_tar_is_refused() {
    for lines in [1, 200] {
        let text = "a,b,c\n".repeat(lines);
        assert!(matches!(scan_bytes(text.as_bytes()), Err(Error::NotTar { .. })));
    }
    let rest = &tar(&[("1.jpg", b"x")])[..100];
    assert_eq!(faults(rest), ["0: it is cut within a header"]);
    for magic in [&[0x1f, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd], b"\xfd7zXZ\0", b"BZh9"] {
        assert!(matches!(scan_bytes(magic), Err(Error::Compressed { .. })));
    }
}

#[test]
fn sparse_files_are_refused() {
    let mut bytes = tar(&[("1.jpg", b"x")]);
    bytes[156] = b'S';
    fix_checksum(&mut bytes);
    assert!(matches!(scan_bytes(&bytes), Err(Error::Unsupported { offset: 0, .. })));
    let pax = [pax(b'x', b"22 GNU.sparse.major=1\n"), tar(&[("1.jpg", b"x")])].concat();
    assert!(matches!(scan_bytes(&pax), Err(Error::Unsupported { .. })));
    let global = [pax_record("path=a.jpg"), tar(&[("1.jpg", b"x")])].concat();
    assert!(matches!(scan_bytes(&global), Err(Error::Unsupported { .. })));
}

#[test]
fn sizes_are_taken_from_base_256_and_from_pax_headers() {
    let mut bytes = tar(&[("1.jpg", b"abc"), ("2.jpg", b"")]);
    bytes[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    fix_checksum(&mut bytes);
    assert_eq!(samples(&bytes)[0].1, b"abc");

    let mut bytes = tar(&[("1.jpg", b"abc"), ("2.jpg", b"")]);
    bytes[124..136].copy_from_slice(b"00000000000\0");
    fix_checksum(&mut bytes);
    let bytes = [pax(b'x', b"9 size=3\n"), bytes].concat();
    assert_eq!(samples(&bytes)[0].1, b"abc");
}

#[test]
fn impossible_sizes_are_faults() {
    for size in [[0xff; 12], [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let mut bytes = tar(&[("1.jpg", b"abc")]);
        bytes[124..136].copy_from_slice(&size);
        fix_checksum(&mut bytes);
        assert!(!scan_bytes(&bytes).unwrap().faults.is_empty());
    }
}

#[test]
fn no_damage_causes_a_panic() {
    let long = format!("{}/{}.jpg", "d".repeat(120), "e".repeat(150));
    let plain = tar(&[("1.jpg", &[1; 700]), (&long, b"x"), ("2.json", br#"{"label": 1}"#), ("2.cls", b"3")]);
    let whole = [pax(b'x', b"14 path=1.jpg\n"), plain].concat();
    let mut random = 1;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random % 3 {
            random = crate::permutation::mix(random, 7);
            let at = random as usize % bytes.len();
            bytes[at] = (random >> 32) as u8;
            if random & 1 << 60 == 0 {
                fix_checksums(&mut bytes);
            }
        }
        bytes.truncate(bytes.len() - (random >> 40) as usize % 600);
        let shard = Shard::in_memory(bytes.clone().into());
        for span in scan_bytes(&bytes).iter().flat_map(|index| &index.spans) {
            crate::read::sample(&shard, span).ok();
        }
    }
}

#[test]
fn the_digest_depends_on_keys_labels_and_places() {
    let digest = |members: &[(&str, &[u8])]| scan_bytes(&tar(members)).unwrap().digest;
    let one = digest(&[("1.jpg", b"x"), ("1.cls", b"1")]);
    assert_eq!(one, digest(&[("1.jpg", b"y"), ("1.cls", b"1")]));
    assert_ne!(one, digest(&[("2.jpg", b"x"), ("2.cls", b"1")]));
    assert_ne!(one, digest(&[("1.jpg", b"x"), ("1.cls", b"2")]));
    assert_ne!(one, digest(&[("1.cls", b"1"), ("1.jpg", b"x")]));
}

/// Fixed by the format, so that a run continues with a set that is read in the same way.
#[test]
fn the_digest_hashes_keys_headers_places_and_labels() {
    let bytes = tar(&[
        ("1.cls", b"1"),
        ("1.jpg", b"x"),
        ("2.jpg", b"yz"),
        ("2.seg.png", b"m"),
        ("2.json", br#"{"label": 4}"#),
    ]);
    let mut expected = xxhash_rust::xxh3::Xxh3::new();
    for (key, head, image, length, label) in [("1", 0u64, 1536u64, 1u32, 1u32), ("2", 2048, 2560, 2, 4)] {
        expected.update(key.as_bytes());
        expected.update(&[head.to_le_bytes(), image.to_le_bytes()].concat());
        expected.update(&[length.to_le_bytes(), label.to_le_bytes()].concat());
    }
    assert_eq!(scan_bytes(&bytes).unwrap().digest, expected.digest());
}

fn pax_record(record: &str) -> Vec<u8> {
    pax(b'g', format!("{} {record}\n", record.len() + 4).as_bytes())
}

/// Writes a PAX header of this type, without the member that follows it.
fn pax(kind: u8, records: &[u8]) -> Vec<u8> {
    let mut bytes = tar(&[("pax", records)]);
    bytes.truncate(1024);
    bytes[156] = kind;
    fix_checksum(&mut bytes);
    bytes
}

fn fix_checksum(bytes: &mut [u8]) {
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..512].iter().map(|&byte| u32::from(byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Corrects the checksum of every block that may have been a header, so that damage passes the first check.
fn fix_checksums(bytes: &mut [u8]) {
    bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar").for_each(fix_checksum);
}

#[test]
fn an_extension_header_before_the_end_of_an_archive_is_a_fault() {
    let bytes =
        [tar(&[("1.jpg", b"x")])[..1024].to_vec(), pax(b'x', b"14 path=1.jpg\n"), vec![0; 1024]].concat();
    assert_eq!(faults(&bytes), ["2048: the extension header before it belongs to no member"]);
    assert_eq!(samples(&bytes).len(), 1);
}
