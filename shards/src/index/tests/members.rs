//! Shards whose members are not simply image, label, image, label.

use super::*;

/// Returns key, image and label of each sample as a short text.
fn read(members: &[(&str, &[u8])]) -> Vec<String> {
    let text = |(key, image, label): (String, Vec<u8>, Option<u32>)| {
        let label = label.map_or("-".to_owned(), |label| label.to_string());
        format!("{key} {} {label}", String::from_utf8(image).unwrap())
    };
    samples(&tar(members)).into_iter().map(text).collect()
}

/// Returns kinds and counts of the unusual forms.
fn kinds(members: &[(&str, &[u8])]) -> Vec<(RemarkKind, u64)> {
    remarks(&tar(members)).into_iter().map(|(kind, count, _)| (kind, count)).collect()
}

use RemarkKind::{
    Dotted, Ignored, LabelAmbiguous, LabelApart, LabelJson, LabelStray, LabelText, Repeated, SecondImage,
};

#[test]
fn dogs_and_cats_that_are_numbered_after_a_dot_are_samples_of_their_own() {
    let cats: [(&str, &[u8]); 6] = [
        ("train/cat.0.jpg", b"a"),
        ("train/cat.0.cls", b"0"),
        ("train/cat.1.jpg", b"b"),
        ("train/cat.1.cls", b"0"),
        ("train/dog.0.jpg", b"c"),
        ("train/dog.1.jpg", b"d"),
    ];
    assert_eq!(read(&cats), ["train/cat.0 a 0", "train/cat.1 b 0", "train/dog.0 c -", "train/dog.1 d -"]);
    assert_eq!(remarks(&tar(&cats)), [(Dotted, 4, "train/cat.0".to_owned())]);
    let photos: [(&str, &[u8]); 4] =
        [("photo.1.jpg", b"a"), ("photo.2.jpg", b"b"), ("photo.cls", b"5"), ("photo.jpg", b"c")];
    assert_eq!(read(&photos), ["photo.1 a -", "photo.2 b -", "photo c 5"]);
    let dotted: [(&str, &[u8]); 4] = [
        ("St.Bernard_1.jpg", b"a"),
        ("St.Bernard_2.jpg", b"b"),
        ("x_jpg.rf.0a1b.jpg", b"c"),
        ("x_jpg.rf.0a1b.cls", b"1"),
    ];
    assert_eq!(read(&dotted), ["St.Bernard_1 a -", "St.Bernard_2 b -", "x_jpg.rf.0a1b c 1"]);
    assert_eq!(kinds(&dotted), [(Dotted, 3)]);
    // All images, then all labels.
    let apart: [(&str, &[u8]); 4] =
        [("cat.0.jpg", b"a"), ("cat.1.jpg", b"b"), ("cat.0.cls", b"0"), ("cat.1.cls", b"1")];
    assert_eq!(read(&apart), ["cat.0 a 0", "cat.1 b 1"]);
}

#[test]
fn a_mask_is_not_a_sample_wherever_it_is_stored() {
    for masked in [
        [("a.jpg", &b"image"[..]), ("a.mask.png", b"mask"), ("a.cls", b"3")],
        [("a.mask.png", b"mask"), ("a.png", b"image"), ("a.cls", b"3")],
        [("a.seg.png", b"mask"), ("a.cls", b"3"), ("a.jpg", b"image")],
        [("a.jpg", b"image"), ("a.png", b"mask"), ("a.cls", b"3")],
        [("a.png", b"mask"), ("a.cls", b"3"), ("a.JPEG", b"image")],
        [("a.cls", b"3"), ("a.webp", b"image"), ("a.png", b"mask")],
    ] {
        assert_eq!(read(&masked), ["a image 3"], "{masked:?}");
        let mask = masked.iter().find(|(_, data)| *data == b"mask").unwrap().0;
        assert_eq!(remarks(&tar(&masked)), [(SecondImage, 1, mask.to_owned())], "{masked:?}");
    }
    // Without another image, an image with a word between its dots is a sample.
    assert_eq!(read(&[("a.left.jpg", b"l"), ("a.right.jpg", b"r")]), ["a.left l -", "a.right r -"]);
}

#[test]
fn masks_stored_after_all_images_are_not_samples() {
    let apart: [(&str, &[u8]); 9] = [
        ("x/a.jpg", b"1"),
        ("x/b.png", b"2"),
        ("x/c.jpg", b"3"),
        ("x/a.mask.png", b"m"),
        ("x/b.mask.png", b"m"),
        ("x/c.mask.png", b"m"),
        ("x/c.mask.cls", b"no class"),
        ("x/a.cls", b"4"),
        ("x/c.json", br#"{"label": 5}"#),
    ];
    assert_eq!(read(&apart), ["x/a 1 4", "x/b 2 -", "x/c 3 5"]);
    let expected = [(LabelApart, 2, "x/a"), (SecondImage, 3, "x/a.mask.png")];
    assert_eq!(remarks(&tar(&apart)), expected.map(|(kind, count, name)| (kind, count, name.to_owned())));
    let mut before = apart;
    before.reverse();
    assert_eq!(read(&before), ["x/c 3 5", "x/b 2 -", "x/a 1 4"]);
    // Neighbours in the wrong order, and samples of another folder.
    let mixed: [(&str, &[u8]); 4] =
        [("a.mask.png", b"m"), ("b.jpg", b"2"), ("a.jpg", b"1"), ("y/b.mask.png", b"3")];
    assert_eq!(read(&mixed), ["b 2 -", "a 1 -", "y/b.mask 3 -"]);
}

#[test]
fn numbered_masks_are_not_samples() {
    let near: [(&str, &[u8]); 4] = [("i.jpg", b"1"), ("i.0.png", b"m"), ("i.1.png", b"m"), ("i.cls", b"2")];
    assert_eq!((read(&near), kinds(&near)), (vec!["i 1 2".to_owned()], vec![(SecondImage, 2)]));
    let apart: [(&str, &[u8]); 4] = [("i.jpg", b"1"), ("j.jpg", b"2"), ("i.0.png", b"m"), ("j.0.png", b"m")];
    assert_eq!((read(&apart).len(), kinds(&apart)), (2, vec![(SecondImage, 2)]));
    // Without such an image, and beside one that is a PNG itself, they are images.
    assert_eq!(labels(&[("i.0.png", b""), ("i.1.png", b""), ("j.png", b""), ("j.1.png", b"")]).len(), 4);
}

#[test]
fn an_image_does_not_hide_others_with_a_similar_name() {
    let members: [(&str, &[u8]); 5] = [
        ("image.a8f3.jpg", b"1"),
        ("image.a8f3.cls", b"1"),
        ("image.jpg", b"2"),
        ("image.b77c.jpg", b"3"),
        ("image.cls", b"5"),
    ];
    assert_eq!(read(&members), ["image.a8f3 1 1", "image 2 5", "image.b77c 3 -"]);
    assert_eq!(kinds(&members), [(Dotted, 2)]);
    let apart: [(&str, &[u8]); 3] = [("image.jpg", b"1"), ("x.jpg", b"2"), ("image.a8f3.jpg", b"3")];
    assert_eq!(read(&apart).len(), 3);
}

#[test]
fn samples_of_one_key_in_a_row_keep_their_own_labels() {
    assert_eq!(
        read(&[("a.jpg", b"1"), ("a.cls", b"1"), ("a.jpg", b"2"), ("a.cls", b"2"), ("b.jpg", b"3")]),
        ["a 1 1", "a 2 2", "b 3 -"]
    );
    assert_eq!(
        read(&[("a.cls", b"1"), ("a.JPG", b"1"), ("a.jpg", b"2"), ("a.cls", b"2")]),
        ["a 1 1", "a 2 2"]
    );
    assert_eq!(
        read(&[("a.0.jpg", b"1"), ("a.0.cls", b"1"), ("a.0.jpg", b"2"), ("a.0.cls", b"2")]),
        ["a.0 1 1", "a.0 2 2"]
    );
    let far: [(&str, &[u8]); 5] =
        [("a.jpg", b"1"), ("a.cls", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("a.cls", b"3")];
    assert_eq!(read(&far), ["a 1 1", "b 2 -", "a 3 3"]);
    assert_eq!(remarks(&tar(&far)), [(Repeated, 1, "a".to_owned())]);
}

#[test]
fn samples_of_one_key_whose_labels_are_ambiguous_are_all_unlabelled() {
    for (members, images) in [
        (vec!["a.jpg", "a.jpg", "a.cls", "a.cls"], 2),
        (vec!["a.jpg", "a.jpg", "a.cls"], 2),
        (vec!["a.cls", "a.cls", "a.jpg", "a.jpg"], 2),
        (vec!["a.jpg", "a.cls", "a.cls"], 1),
        (vec!["a.jpg", "a.json", "a.jpg"], 2),
        (vec!["a.0.jpg", "a.0.jpg", "a.0.cls", "a.0.cls"], 2),
    ] {
        let data = |(number, name): (usize, &&'static str)| -> (&'static str, &'static [u8]) {
            let label = [&b"1"[..], b"2", b"3", b"4"][number];
            (name, if name.ends_with("json") { br#"{"label": 7}"# } else { label })
        };
        let members: Vec<_> = members.iter().enumerate().map(data).collect();
        assert!(labels(&members).iter().all(Option::is_none), "{members:?}: {:?}", labels(&members));
        assert_eq!(labels(&members).len(), images);
        assert!(
            kinds(&members).contains(&(LabelAmbiguous, images as u64)),
            "{members:?}: {:?}",
            kinds(&members)
        );
    }
}

#[test]
fn members_without_an_image_are_not_samples() {
    let voc: [(&str, &[u8]); 8] = [
        ("README", b""),
        ("Images/1.jpg", b"1"),
        ("Images/2.jpg", b"2"),
        ("Annotations/1.xml", b"<a/>"),
        ("Annotations/2.xml", b"<a/>"),
        ("labels.csv", b"1,2"),
        ("Annotations/coco.json", b"{\"images\": []}"),
        ("Images/._1.jpg", b"by macOS"),
    ];
    assert_eq!(read(&voc), ["Images/1 1 -", "Images/2 2 -"]);
    assert_eq!(remarks(&tar(&voc)), [(Ignored, 5, "README".to_owned())]);
}

#[test]
fn labels_stored_after_all_images_are_joined_with_theirs() {
    let apart: [(&str, &[u8]); 6] = [
        ("0.jpg", b"a"),
        ("1.jpg", b"b"),
        ("2.jpg", b"c"),
        ("1.cls", b"1"),
        ("0.cls", b"0"),
        ("2.json", br#"{"label": 2}"#),
    ];
    assert_eq!(read(&apart), ["0 a 0", "1 b 1", "2 c 2"]);
    assert_eq!(remarks(&tar(&apart)), [(LabelApart, 3, "1".to_owned())]);
    let before: [(&str, &[u8]); 4] = [("0.cls", b"5"), ("1.cls", b"6"), ("0.jpg", b"a"), ("1.jpg", b"b")];
    assert_eq!(read(&before), ["0 a 5", "1 b 6"]);
    // A class outranks the label in `json`, here as elsewhere.
    let both: [(&str, &[u8]); 4] =
        [("0.jpg", b"a"), ("0.json", br#"{"label": 7}"#), ("1.jpg", b"b"), ("0.cls", b"3")];
    assert_eq!(labels(&both), [Some(3), None]);
    let other: [(&str, &[u8]); 4] =
        [("0.jpg", b"a"), ("0.cls", b"3"), ("1.jpg", b"b"), ("0.json", br#"{"label": 7}"#)];
    assert_eq!(labels(&other), [Some(3), None]);
    assert!(matches!(
        scan_bytes(&tar(&[("0.jpg", b"a"), ("1.jpg", b"b"), ("0.cls", b"dog")])),
        Err(Error::Label { key, .. }) if key == "0"
    ));
}

#[test]
fn labels_without_a_unique_image_are_noted_and_not_used() {
    for members in [
        vec![("a.jpg", &b"1"[..]), ("b.cls", b"1")],
        vec![("images/a.jpg", b"1"), ("labels/a.cls", b"1")],
        vec![("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("b.txt", b""), ("a.cls", b"1")],
        vec![("a.jpg", b"1"), ("b.jpg", b"2"), ("a.cls", b"1"), ("c.jpg", b"3"), ("a.cls", b"2")],
    ] {
        let strays = kinds(&members).into_iter().find(|(kind, _)| *kind == LabelStray);
        assert!(strays.is_some(), "{members:?}");
        assert!(labels(&members).iter().all(Option::is_none), "{members:?}");
    }
    for (members, strays) in [
        (vec![("cat.0.jpg", &b""[..]), ("cat.1.jpg", b""), ("cat.0.cls", b"1"), ("cat.0.cls", b"1")], 2),
        (vec![("cat.0.jpg", b""), ("cat.0.jpg", b""), ("cat.1.jpg", b""), ("cat.0.cls", b"1")], 1),
        (vec![("cat.0.jpg", b""), ("cat.1.jpg", b""), ("cat.7.cls", b"1")], 1),
        (vec![("Beagle.jpg", b""), ("St.Bernard_2.jpg", b""), ("St.Bernard.cls", b"1")], 1),
        (vec![("a.jpg", b""), ("b.jpg", b""), ("a.fine.cls", b"1"), ("b.meta.json", b"{\"label\": 1}")], 0),
    ] {
        let found = kinds(&members).into_iter().find(|(kind, _)| *kind == LabelStray);
        assert_eq!(found.map_or(0, |(_, count)| count), strays, "{members:?}");
        assert!(labels(&members).iter().all(Option::is_none), "{members:?}");
    }
    // The image's own label is not replaced.
    let own: [(&str, &[u8]); 4] = [("a.jpg", b"1"), ("a.cls", b"1"), ("b.jpg", b"2"), ("a.cls", b"2")];
    assert_eq!((labels(&own), kinds(&own)), (vec![Some(1), None], vec![(LabelStray, 1)]));
    // Labels with compound extensions mean something else.
    let meta: [(&str, &[u8]); 3] =
        [("a.jpg", b"1"), ("a.meta.json", br#"{"label": 3}"#), ("a.fine.cls", b"dog")];
    assert_eq!((labels(&meta), kinds(&meta)), (vec![None], vec![]));
}

#[test]
fn invalid_labels_in_json_are_counted_by_kind_and_noted() {
    let members: [(&str, &[u8]); 8] = [
        ("a.jpg", b""),
        ("a.json", br#"{"label": "dog"}"#),
        ("b.jpg", b""),
        ("b.json", br#"{"label": "cat"}"#),
        ("c.jpg", b""),
        ("c.json", br#"{"label": null}"#),
        ("d.jpg", b""),
        ("d.json", br#"{"label": 3"#),
    ];
    assert_eq!(labels(&members), [None; 4]);
    let expected = [(LabelText, 2, "a"), (LabelJson, 1, "d")];
    assert_eq!(remarks(&tar(&members)), expected.map(|(kind, count, name)| (kind, count, name.to_owned())));
    assert_eq!(scan_bytes(&tar(&members)).unwrap().tallies[0].detail, "dog");
}

#[test]
fn many_neighbours_with_a_similar_name_take_no_longer_than_others() {
    let names: Vec<String> =
        (0..20_000).flat_map(|n| [format!("cat.{n}.jpg"), format!("cat.x{n}.txt")]).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
    assert_eq!(labels(&members).len(), 20_000);
}

#[test]
fn usual_members_have_no_remarks() {
    let usual: [(&str, &[u8]); 6] = [
        ("a.cls", b"1"),
        ("a.jpg", b"1"),
        ("a.json", b"{\"width\": 3}"),
        ("b.cls", b"-1"),
        ("b.png", b"1"),
        ("c.webp", b"1"),
    ];
    assert_eq!(kinds(&usual), []);
}
