use std::{
    fs,
    os::unix::{ffi::OsStringExt, fs::symlink},
    path::Path,
};

use super::Folder;
use crate::{
    chain::one_line,
    error::SourceError,
    hint::{Hint, SourceHint},
    pack::{convert, source::Source},
};

const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0";

fn folder_of(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        put(root.path(), file, if file.contains(".txt") { b"text" } else { JPEG });
    }
    root
}

fn put(root: &Path, file: &str, data: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

fn open(root: &tempfile::TempDir) -> Result<Folder, SourceError> {
    Folder::open(root.path(), true)
}

/// Returns the reason why a folder of these files is refused, and its cure.
fn refusal(files: &[&str]) -> (String, SourceHint) {
    let error = open(&folder_of(files)).unwrap_err();
    (one_line(&error), error.hint().unwrap())
}

fn keys(folder: &Folder) -> Vec<String> {
    (0..folder.count()).map(|number| folder.key(number)).collect()
}

/// Describes what is left out.
fn left_out(folder: &Folder) -> String {
    folder.left_out.words()
}

#[test]
fn labels_follow_the_sorted_names_and_nested_folders_belong_to_their_class() {
    let root =
        folder_of(&["dog/b/2.PNG", "dog/a.1.jpeg", "cat/1.jpg", "cat/notes.txt", "readme.txt", ".git/x.jpg"]);
    fs::create_dir(root.path().join("ant")).unwrap();
    let folder = open(&root).unwrap();
    assert_eq!(folder.classes(), ["ant", "cat", "dog"]);
    assert_eq!(keys(&folder), ["cat/1", "dog/a_1", "dog/b/2"]);
    let labels: Vec<_> = (0..3).map(|number| folder.label(number).unwrap()).collect();
    assert_eq!(labels, [Some(1), Some(2), Some(2)]);
    assert_eq!((folder.ignored(), folder.nested), (3, 1));
    assert!(folder.notes[0].contains("`ant`"), "{:?}", folder.notes);
}

#[test]
fn a_flat_folder_has_no_labels() {
    let root = folder_of(&["1.jpg", "2.txt"]);
    fs::create_dir(root.path().join("empty")).unwrap();
    let folder = open(&root).unwrap();
    assert_eq!((folder.count(), folder.ignored(), folder.classes().len()), (1, 2, 0));
    assert_eq!(folder.label(0).unwrap(), None);
}

#[test]
fn namesakes_get_keys_of_their_own() {
    let root = folder_of(&["c/a.b.jpg", "c/a_b.jpg", "c/a_b.webp"]);
    assert_eq!(keys(&open(&root).unwrap()), ["c/a_b", "c/a_b+1", "c/a_b+2"]);
}

#[test]
fn a_folder_of_parts_is_refused_with_the_advice_to_pack_them_separately() {
    for files in [
        &["train/cat/1.jpg", "val/cat/2.jpg"][..],
        &["Train/cat/1.jpg", "TEST/2.jpg"],
        &["train/cat/1.jpg", "train/dog/1.jpg", "cat/1.jpg", "dog/1.jpg"],
        &["cat/1.jpg", "dog/1.jpg", "validation/1.jpg"],
        &["train2017/1.jpg", "val2017/2.jpg", "annotations/a.jpg"],
        &["train/1.jpg"],
    ] {
        let (error, hint) = refusal(files);
        assert!(error.contains("of a dataset"), "{error}");
        assert!(
            matches!(hint, SourceHint::PackParts { names } if error.contains(&format!("`{}`", names[0])))
        );
    }
    let root = folder_of(&["train/cat/1.jpg", "val/cat/2.jpg"]);
    assert_eq!(Folder::open(&root.path().join("val"), true).unwrap().classes(), ["cat"]);
    let (error, hint) = refusal(&["cat/train/1.jpg", "cat/test/2.jpg", "dog/train/1.jpg"]);
    assert!(error.contains("divided into parts"), "{error}");
    assert_eq!(hint, SourceHint::PartsAboveClasses { example: "test/cat".into() });
}

#[test]
fn a_train_among_other_vehicles_is_a_class() {
    let folder = open(&folder_of(&["bus/1.jpg", "car/1.jpg", "train/1.jpg"])).unwrap();
    assert_eq!(folder.classes(), ["bus", "car", "train"]);
    assert_eq!(folder.notes, ["`train` is taken for a class"]);
}

#[test]
fn a_folder_around_all_images_is_not_a_class() {
    for files in [
        &["PetImages/Cat/1.jpg", "PetImages/Dog/1.jpg"][..],
        &["images/1.jpg", "annotations/trimaps/1.png"],
        &["JPEGImages/1.jpg", "SegmentationClass/1.png", "list.txt"],
    ] {
        assert!(refusal(files).0.contains("their only class"), "{files:?}");
    }
    assert_eq!(open(&folder_of(&["cat/1.jpg"])).unwrap().classes(), ["cat"]);
}

#[test]
fn images_beside_class_folders_are_reported_and_refused_if_they_are_the_majority() {
    let folder = open(&folder_of(&["cat/1.jpg", "cat/2.jpg", "cover.jpg"])).unwrap();
    assert_eq!(folder.count(), 2);
    assert!(
        left_out(&folder)
            .contains("1 images that lie beside the class folders and have no class, e.g. `cover.jpg`")
    );
    assert!(refusal(&["sub/x.jpg", "1.jpg", "2.jpg"]).0.contains("2 images lie in"));
    let all = Folder::open(folder_of(&["sub/x.jpg", "1.jpg", "train/2.jpg"]).path(), false).unwrap();
    assert_eq!((keys(&all).len(), all.classes().len(), all.label(0).unwrap()), (3, 0, None));
}

#[test]
fn files_of_systems_and_tools_are_neither_classes_nor_images() {
    let folder = open(&folder_of(&[
        "cat/1.jpg",
        "cat/._1.jpg",
        "cat/Thumbs.db",
        "cat/@eaDir/1.jpg/THUMB_M.jpg",
        "dog/1.jpg",
        "dog/.DS_Store",
        "@eaDir/cat/THUMB_XL.jpg",
        "__MACOSX/cat/1.jpg",
        ".ipynb_checkpoints/1.jpg",
        "__pycache__/x.txt",
        "lost+found/1.jpg",
        "docs/about.txt",
    ]))
    .unwrap();
    assert_eq!(folder.classes(), ["cat", "dog"]);
    assert_eq!(keys(&folder), ["cat/1", "dog/1"]);
    let left_out = left_out(&folder);
    assert!(
        left_out.contains("3 hidden") && left_out.contains("6 files and folders of systems"),
        "{left_out}"
    );
    assert!(left_out.contains("1 folders without an image, e.g. `docs`"), "{left_out}");
}

#[test]
fn masks_and_annotations_are_reported_and_not_packed() {
    let folder = open(&folder_of(&[
        "cat/1.jpg",
        "cat/1_mask.png",
        "dog/2.jpg",
        "dog/masks/2.png",
        "Annotations/3.png",
    ]));
    let folder = folder.unwrap();
    assert_eq!(keys(&folder), ["cat/1", "dog/2"]);
    let left_out = left_out(&folder);
    assert!(
        left_out.contains("2 folders of annotations") && left_out.contains("`cat/1_mask.png`"),
        "{left_out}"
    );
    let faces = open(&folder_of(&["mask/1.jpg", "no_mask/1.jpg"])).unwrap();
    assert_eq!(faces.classes(), ["mask", "no_mask"]);
}

#[test]
fn files_are_recognized_by_their_bytes_whatever_their_names() {
    let png = convert::png(&pipeline::Rgb::black(2, 2)).unwrap();
    let root = folder_of(&["c/0.jfif", "c/1.JPE", "c/5", "c/9.heic", "c/notes.txt"]);
    put(root.path(), "c/2.jpg", &png);
    put(root.path(), "c/3.jpg", b"<!DOCTYPE html><html>");
    put(root.path(), "c/4.png", b"GIF89a");
    put(root.path(), "c/6.jpg_large", &png);
    let folder = open(&root).unwrap();
    let read: Vec<_> = (0..folder.count()).map(|number| folder.read(number)).collect();
    let extensions: Vec<_> =
        read.iter().map(|image| image.as_ref().map_or("", |image| image.extension)).collect();
    assert_eq!(extensions, ["jpg", "jpg", "png", "", "", "jpg", "png"]);
    let errors: Vec<_> = read.iter().filter_map(|image| Some(one_line(image.as_ref().err()?))).collect();
    assert!(errors[0].contains("is an HTML page") && errors[1].contains("cannot convert"), "{errors:?}");
    assert!(left_out(&folder).contains("neither read nor converted (heic), e.g. `c/9.heic`"));
    assert_eq!(folder.hint(), Some(Hint::Source(SourceHint::Convert)));
}

#[test]
fn links_are_followed_but_not_in_circles_and_not_to_packed_folders() {
    let (root, elsewhere) = (folder_of(&["cat/1.jpg"]), folder_of(&["1.jpg"]));
    symlink(root.path().join("cat"), root.path().join("cat/again")).unwrap();
    symlink(root.path().join("cat"), root.path().join("kitten")).unwrap();
    symlink(root.path(), root.path().join("cat/up")).unwrap();
    symlink(elsewhere.path(), root.path().join("dog")).unwrap();
    let folder = open(&root).unwrap();
    assert_eq!(
        (folder.classes().join(" "), keys(&folder)),
        ("cat dog".to_owned(), vec!["cat/1".to_owned(), "dog/1".to_owned()])
    );
    assert!(left_out(&folder).contains("3 links to folders"));
}

#[test]
fn a_pipe_is_not_waited_for() {
    let root = folder_of(&["c/1.jpg"]);
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("c/2.jpg")).unwrap();
    let folder = open(&root).unwrap();
    assert_eq!(folder.count(), 1);
    assert!(left_out(&folder).contains("1 pipes, sockets and devices, e.g. `c/2.jpg`"));
}

#[test]
fn names_that_are_not_utf8_have_keys_of_their_own() {
    let root = folder_of(&["c/a\nb\t\"c.jpg"]);
    for byte in [0xE4, 0xF6] {
        let name = std::ffi::OsString::from_vec([b"c/x", &[byte][..], b".jpg"].concat());
        fs::write(root.path().join(name), JPEG).unwrap();
    }
    let folder = open(&root).unwrap();
    assert_eq!(keys(&folder), ["c/a\nb\t\"c", "c/x%E4", "c/x%F6"]);
    assert_eq!(folder.renamed, 2);
}

#[test]
fn numbers_and_twins_among_the_classes_are_reported() {
    let folder = open(&folder_of(&["1/a.jpg", "2/a.jpg", "10/a.jpg"])).unwrap();
    assert!(
        folder.notes[0].contains("`1` has label 0") || folder.notes[0].contains("`10` has label 1"),
        "{:?}",
        folder.notes
    );
    assert_eq!(open(&folder_of(&["0/a.jpg", "1/a.jpg"])).unwrap().notes, [""; 0]);
    let folder = open(&folder_of(&["Cat/a.jpg", "cat/a.jpg"])).unwrap();
    assert!(folder.notes[0].contains("`Cat` and `cat`"), "{:?}", folder.notes);
}
