//! `pack`: the output of every kind of source.

use std::{fs, path::Path};

use dataset::{
    ClassHint, Error, Hint, OutputHint, SourceHint, Summary,
    pack::{Cut, Format, Options, Resize, Validation, open, write},
};
use pipeline::Rgb;

use crate::members::{Member, members};

fn options(out: &Path) -> Options {
    Options {
        out: out.to_owned(),
        prefix: "train".to_owned(),
        cut: Cut { samples: 4, bytes: None },
        resize: None,
        shuffle: Some(3),
        validation: None,
        workers: None,
        force: false,
    }
}

fn pack(source: &Path, split: Option<&str>, options: &Options) -> Result<Summary, Error> {
    write(&*open(source, Format::Auto, split, true)?, options, &())
}

/// Returns all members of a prefix's shards, in order.
fn packed(out: &Path, shards: usize) -> Vec<Member> {
    (0..shards).flat_map(|shard| members(&out.join(format!("train-{shard:03}.tar")))).collect()
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    pipeline::encode_jpeg(&Rgb::black(width, height), 90).unwrap()
}

/// Makes two classes of five JPEGs, each of another size, and a file that is not an image.
fn image_folder(root: &Path) {
    for class in ["cat", "dog"] {
        let folder = root.join(class).join("nested");
        fs::create_dir_all(&folder).unwrap();
        for number in 0..5 {
            let side = 40 + 8 * number + if class == "dog" { 4 } else { 0 };
            fs::write(folder.join(format!("{number}.JPG")), jpeg(2 * side, side)).unwrap();
        }
    }
    fs::write(root.join("cat/notes.txt"), "no image").unwrap();
}

#[test]
fn images_are_packed_byte_by_byte_with_the_label_of_their_folder() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image_folder(source.path());
    let summary = pack(source.path(), None, &options(out.path())).unwrap();
    assert_eq!((summary.samples, summary.shards, summary.classes, summary.ignored), (10, 3, 2, 1));
    let members = packed(out.path(), 3);
    assert_eq!(members.len(), 20);
    for pair in members.chunks(2) {
        let key = pair[0].name.strip_suffix(".jpg").unwrap();
        assert_eq!(pair[0].data, fs::read(source.path().join(format!("{key}.JPG"))).unwrap());
        let label: &[u8] = if key.starts_with("cat/") { b"0" } else { b"1" };
        assert_eq!((pair[1].name.as_str(), pair[1].data.as_slice()), (format!("{key}.cls").as_str(), label));
    }
    assert_eq!(fs::read_to_string(out.path().join("classes.txt")).unwrap(), "cat\ndog\n");
}

#[test]
fn shards_do_not_depend_on_the_number_of_workers_but_on_the_seed() {
    let source = tempfile::tempdir().unwrap();
    image_folder(source.path());
    let shards = |workers, shuffle| {
        let out = tempfile::tempdir().unwrap();
        pack(source.path(), None, &Options { workers: Some(workers), shuffle, ..options(out.path()) })
            .unwrap();
        [0, 1, 2].map(|shard| fs::read(out.path().join(format!("train-{shard:03}.tar"))).unwrap())
    };
    assert_eq!(shards(1, Some(3)), shards(5, Some(3)));
    assert_ne!(shards(1, Some(3)), shards(1, Some(4)));
    assert_ne!(shards(1, Some(3)), shards(1, None));
}

#[test]
fn without_classes_there_are_no_labels() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(source.path().join("1.jpg"), jpeg(8, 8)).unwrap();
    let summary = pack(source.path(), None, &options(out.path())).unwrap();
    assert_eq!((summary.samples, summary.classes), (1, 0));
    let names: Vec<_> = packed(out.path(), 1).into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["1.jpg"]);
    assert!(!out.path().join("classes.txt").exists());
}

#[test]
fn only_images_larger_than_requested_are_resized() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image_folder(source.path());
    let resize = Some(Resize { short_side: 52, quality: 90 });
    pack(source.path(), None, &Options { resize, ..options(out.path()) }).unwrap();
    for image in packed(out.path(), 3).iter().filter(|member| member.is("jpg")) {
        let original = fs::read(source.path().join(image.name.replace(".jpg", ".JPG"))).unwrap();
        let (before, after) =
            (pipeline::decode(&original, 1 << 20).unwrap(), pipeline::decode(&image.data, 1 << 20).unwrap());
        assert_eq!(after.height, before.height.min(52));
        assert_eq!(after.width, 2 * after.height);
        assert_eq!(image.data == original, before.height <= 52);
    }
}

#[test]
fn unreadable_images_are_left_out_and_counted() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image_folder(source.path());
    fs::write(source.path().join("cat/damaged.jpg"), &jpeg(80, 80)[..100]).unwrap();
    fs::write(source.path().join("cat/empty.png"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", source.path().join("dog/gone.jpg")).unwrap();
    let summary = pack(source.path(), None, &options(out.path())).unwrap();
    assert_eq!((summary.samples, summary.bad), (11, 2), "only resizing decodes the damaged one");
    let resize = Some(Resize { short_side: 52, quality: 90 });
    let summary = pack(source.path(), None, &Options { resize, force: true, ..options(out.path()) }).unwrap();
    assert_eq!((summary.samples, summary.bad), (10, 3));
}

#[test]
fn existing_shards_and_other_classes_are_refused() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image_folder(source.path());
    pack(source.path(), None, &options(out.path())).unwrap();
    let error = pack(source.path(), None, &options(out.path())).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(error.hint(), Some(Hint::Output(OutputHint::Replace { shards: 3 })));
    fs::rename(source.path().join("cat"), source.path().join("bird")).unwrap();
    let other = Options { prefix: "val".to_owned(), ..options(out.path()) };
    let error = pack(source.path(), None, &other).unwrap_err();
    assert!(error.to_string().contains("other classes"), "{error}");
    let list = out.path().join("classes.txt");
    assert_eq!(error.hint(), Some(Hint::Classes(ClassHint::NumberBy { list })));
}

#[test]
fn with_nothing_to_pack_nothing_is_written() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(source.path().join("notes.txt"), "no image").unwrap();
    let error = pack(source.path(), None, &options(out.path())).unwrap_err();
    assert!(error.to_string().contains("nothing to pack"), "{error}");
    assert_eq!(error.hint(), Some(Hint::Source(SourceHint::GiveImages)));
    assert!(pack(&source.path().join("missing"), None, &options(out.path())).is_err());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn if_every_image_is_unreadable_no_shard_is_left() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(source.path().join("1.jpg"), "").unwrap();
    let error = pack(source.path(), None, &options(out.path())).unwrap_err();
    assert!(error.to_string().contains("nothing was packed"), "{error}");
    assert_eq!(error.hint(), Some(Hint::Output(OutputHint::SeeWarnings)));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn held_out_images_are_of_every_class_and_never_the_last_one() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    image_folder(source.path());
    fs::create_dir(source.path().join("ant")).unwrap();
    fs::write(source.path().join("ant/only.jpg"), jpeg(8, 8)).unwrap();
    let split = |out: &Path, seed| {
        let validation = Some(Validation { fraction: 0.3, seed });
        let summary = pack(source.path(), None, &Options { validation, ..options(out) }).unwrap();
        let val = summary.val.as_deref().unwrap();
        assert_eq!((summary.samples, val.samples, summary.classes, val.classes), (7, 4, 3, 3));
        let mut held_out: Vec<_> =
            members(&out.join("val-000.tar")).into_iter().map(|member| member.name).collect();
        held_out.sort();
        held_out
    };
    let held_out = split(out.path(), 7);
    let of = |class: &str| {
        held_out
            .iter()
            .filter(|name| {
                name.starts_with(class) && name.rsplit_once('.').is_some_and(|(_, end)| end == "cls")
            })
            .count()
    };
    assert_eq!(["ant", "cat", "dog"].map(of), [0, 2, 2]);
    let train = packed(out.path(), 2);
    assert_eq!(train.len(), 14);
    assert!(train.iter().all(|member| !held_out.contains(&member.name)));
    let again = tempfile::tempdir().unwrap();
    assert_eq!(split(again.path(), 7), held_out);
    let others = tempfile::tempdir().unwrap();
    assert_ne!(split(others.path(), 8), held_out);
    let validation = Some(Validation { fraction: 0.3, seed: 7 });
    let error =
        pack(source.path(), None, &Options { validation, prefix: "val".to_owned(), ..options(again.path()) });
    assert!(error.unwrap_err().to_string().contains("both be called"));
}

#[test]
fn other_formats_are_packed_as_png() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pixels: Vec<u8> = (0..3 * 5 * 4).map(|at| (at * 4) as u8).collect();
    for name in ["1.bmp", "2.tiff", "3.TIF"] {
        let path = source.path().join(name);
        image::save_buffer(path, &pixels, 5, 4, image::ColorType::Rgb8).unwrap();
    }
    let summary = pack(source.path(), None, &Options { shuffle: None, ..options(out.path()) }).unwrap();
    assert_eq!((summary.samples, summary.converted, summary.bad), (3, 3, 0));
    for member in packed(out.path(), 1) {
        assert!(member.is("png"), "{}", member.name);
        assert_eq!(pipeline::decode(&member.data, 1 << 20).unwrap().pixels, pixels);
    }
}

/// Row, column and colour of a byte that is not 0, in an image that is 0 elsewhere.
type Mark = (usize, usize, usize);

/// Makes planes in which only the byte at `mark` is 200.
fn planes(side: usize, is_column_major: bool, (row, column, colour): Mark) -> Vec<u8> {
    let mut planes = vec![0; 3 * side * side];
    let at = if is_column_major { column * side + row } else { row * side + column };
    planes[colour * side * side + at] = 200;
    planes
}

/// Checks that a PNG shows `mark` and nothing else.
fn assert_shows(png: &[u8], side: usize, (row, column, colour): Mark) {
    let image = pipeline::decode(png, 1 << 20).unwrap();
    assert_eq!((image.width as usize, image.height as usize), (side, side));
    let expected = 3 * (row * side + column) + colour;
    let set: Vec<_> = (0..image.pixels.len()).filter(|&at| image.pixels[at] != 0).collect();
    assert_eq!((set, image.pixels[expected]), (vec![expected], 200));
}

const MARKS: [Mark; 3] = [(0, 31, 0), (31, 0, 1), (2, 7, 2)];

#[test]
fn cifar_10_is_packed_with_rows_and_colours_in_place() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let records: Vec<u8> = MARKS
        .iter()
        .enumerate()
        .flat_map(|(label, &mark)| [vec![label as u8], planes(32, false, mark)].concat())
        .collect();
    for batch in 1..=5 {
        fs::write(source.path().join(format!("data_batch_{batch}.bin")), &records).unwrap();
    }
    let names = (0..10).map(|class| format!("name{class}\n")).collect::<Vec<_>>().concat();
    fs::write(source.path().join("batches.meta.txt"), format!("{names}\n")).unwrap();
    let summary = pack(source.path(), None, &Options { shuffle: None, ..options(out.path()) }).unwrap();
    assert_eq!((summary.samples, summary.shards, summary.classes), (15, 4, 10));
    for (number, pair) in packed(out.path(), 4).chunks(2).enumerate() {
        assert_eq!(pair[0].name, format!("data_batch_{}-{:06}.png", number / 3 + 1, number % 3));
        assert_shows(&pair[0].data, 32, MARKS[number % 3]);
        assert_eq!(pair[1].data, (number % 3).to_string().as_bytes());
    }
    assert_eq!(fs::read_to_string(out.path().join("classes.txt")).unwrap(), names);
}

#[test]
fn cifar_100_is_packed_with_its_fine_labels() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let record = |fine: u8| [vec![1, fine], planes(32, false, MARKS[1])].concat();
    fs::write(source.path().join("test.bin"), [record(99), record(100)].concat()).unwrap();
    let summary = pack(source.path(), Some("test"), &options(out.path())).unwrap();
    assert_eq!((summary.samples, summary.bad, summary.classes), (1, 1, 100), "there is no class 100");
    let members = packed(out.path(), 1);
    assert_shows(&members[0].data, 32, MARKS[1]);
    assert_eq!(members[1].data, b"99");
}

#[test]
fn stl_10_is_turned_from_columns_to_rows_and_counts_labels_from_one() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let images: Vec<u8> = MARKS.iter().flat_map(|&mark| planes(96, true, mark)).collect();
    fs::write(source.path().join("train_X.bin"), &images).unwrap();
    fs::write(source.path().join("train_y.bin"), [1, 10, 4]).unwrap();
    fs::write(source.path().join("unlabeled_X.bin"), &images).unwrap();
    let options = Options { shuffle: None, ..options(out.path()) };
    let summary = pack(source.path(), Some("train"), &options).unwrap();
    assert_eq!((summary.samples, summary.classes), (3, 10));
    for ((pair, mark), label) in packed(out.path(), 1).chunks(2).zip(MARKS).zip(["0", "9", "3"]) {
        assert_shows(&pair[0].data, 96, mark);
        assert_eq!(pair[1].data, label.as_bytes());
    }
    let summary = pack(source.path(), Some("unlabeled"), &Options { force: true, ..options }).unwrap();
    assert_eq!((summary.samples, summary.classes), (3, 0));
    assert_eq!(packed(out.path(), 1).len(), 3);
}

#[test]
fn a_binary_file_that_is_cut_short_is_refused() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(source.path().join("test_batch.bin"), vec![0; 3072]).unwrap();
    let error = pack(source.path(), Some("test"), &options(out.path())).unwrap_err();
    assert!(error.to_string().contains("cut short"), "{error}");
    assert_eq!(error.hint(), Some(Hint::Source(SourceHint::UnpackAgainOrNameFormat)));
}
