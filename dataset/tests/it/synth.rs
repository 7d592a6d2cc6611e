//! `synth`: equal seeds give equal bytes, and colours tell nothing about the class.

use std::{fs, path::Path};

use dataset::{
    Hint, OutputHint,
    synth::{Options, Size, write},
};

use crate::members::{Member, members};

fn options(out: &Path, prefix: &str) -> Options {
    Options {
        out: out.to_owned(),
        size: Size { width: 32, height: 32 },
        count: 200,
        shards: 3,
        seed: 5,
        prefix: prefix.to_owned(),
        force: false,
        ..Options::default()
    }
}

/// Returns the images and labels of a set, in order.
fn samples(options: &Options) -> Vec<(Vec<u8>, usize)> {
    write(options, &()).unwrap();
    let shards =
        (0..options.shards).map(|shard| options.out.join(format!("{}-{shard:03}.tar", options.prefix)));
    let members: Vec<Member> = shards.flat_map(|shard| members(&shard)).collect();
    members
        .chunks(2)
        .map(|pair| {
            assert!(pair[0].is("jpg") && pair[1].is("cls"));
            (pair[0].data.clone(), std::str::from_utf8(&pair[1].data).unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = [1, 2, 5].map(|threads| {
        let out = folder.path().join(threads.to_string());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write(&options(&out, "train"), &())).unwrap();
        ["train-000.tar", "train-001.tar", "train-002.tar", "classes.txt"]
            .map(|name| fs::read(out.join(name)).unwrap())
    });
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], bytes[2]);
}

#[test]
fn another_prefix_or_seed_gives_other_images_and_another_number_of_shards_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let base = options(&folder.path().join("base"), "train");
    let first = samples(&base);
    let differing = |other: &[(Vec<u8>, usize)]| first.iter().zip(other).filter(|(a, b)| a.0 != b.0).count();
    assert_eq!(differing(&samples(&options(&folder.path().join("val"), "val"))), 200);
    assert_eq!(
        differing(&samples(&Options { out: folder.path().join("seed"), seed: 6, ..base.clone() })),
        200
    );
    assert_eq!(samples(&Options { out: folder.path().join("shards"), shards: 7, ..base.clone() }), first);
}

#[test]
fn classes_are_balanced_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(&options(folder.path(), "train"));
    let names = fs::read_to_string(folder.path().join("classes.txt")).unwrap();
    assert_eq!(names.lines().count(), 10);
    for class in 0..10 {
        assert_eq!(samples.iter().filter(|(_, label)| *label == class).count(), 20);
    }
}

#[test]
fn mean_colour_tells_almost_nothing_about_the_class() {
    let folder = tempfile::tempdir().unwrap();
    let colours = |prefix: &str| -> Vec<([f32; 3], usize)> {
        let samples = samples(&Options { count: 1000, ..options(folder.path(), prefix) });
        samples.into_iter().map(|(jpeg, label)| (mean_colour(&jpeg), label)).collect()
    };
    let (train, val) = (colours("train"), colours("val"));
    let centroids: Vec<[f32; 3]> = (0..10).map(|class| centroid(&train, class)).collect();
    let nearest = |colour: &[f32; 3]| {
        (0..10).min_by(|&a, &b| {
            let distance =
                |class: usize| (0..3).map(|i| (colour[i] - centroids[class][i]).powi(2)).sum::<f32>();
            distance(a).total_cmp(&distance(b))
        })
    };
    let right = val.iter().filter(|(colour, label)| nearest(colour) == Some(*label)).count();
    // Chance is 100 of 1,000, with a standard deviation of 9.5.
    assert!(right < 150, "{right} of 1,000 classes recognized by mean colour");
}

fn mean_colour(jpeg: &[u8]) -> [f32; 3] {
    let image = pipeline::decode(jpeg, 1 << 20).unwrap();
    let pixels = image.pixels.as_chunks::<3>().0;
    [0, 1, 2].map(|i| pixels.iter().map(|pixel| f32::from(pixel[i])).sum::<f32>() / pixels.len() as f32)
}

fn centroid(samples: &[([f32; 3], usize)], class: usize) -> [f32; 3] {
    let own: Vec<_> = samples.iter().filter(|(_, label)| *label == class).collect();
    [0, 1, 2].map(|i| own.iter().map(|(colour, _)| colour[i]).sum::<f32>() / own.len() as f32)
}

#[test]
fn at_the_usual_size_the_jpegs_are_as_large_as_those_of_imagenet() {
    let folder = tempfile::tempdir().unwrap();
    let size = Size { width: 500, height: 375 };
    let samples = samples(&Options { size, count: 40, shards: 2, ..options(folder.path(), "train") });
    let mean = samples.iter().map(|(jpeg, _)| jpeg.len()).sum::<usize>() / samples.len();
    assert!((88_000..132_000).contains(&mean), "mean {mean} bytes");
    let image = pipeline::decode(&samples[0].0, 1 << 20).unwrap();
    assert_eq!((image.width, image.height), (500, 375));
}

#[test]
fn existing_shards_are_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), "train");
    write(&options, &()).unwrap();
    let error = write(&options, &()).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(error.hint(), Some(Hint::Output(OutputHint::Replace { shards: 3 })));
    let summary = write(&Options { force: true, shards: 2, ..options }, &()).unwrap();
    assert_eq!((summary.samples, summary.shards, summary.classes), (200, 2, 10));
    assert!(!folder.path().join("train-002.tar").exists());
}
