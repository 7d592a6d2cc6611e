//! Event files say what was written to them.

use std::{fs, path::PathBuf};

use amdim_stream::{
    metrics::{Histogram, Record, TrainRecord},
    observe::tensorboard::TensorBoard,
};
use pipeline::Rgb;
use serde_json::{Value, json};

use super::reader;
use crate::support::{Place, python};

const CONFIG: &str = "seed = 0\n\n[run]\ntensorboard = true\n";

fn record(step: u64, loss: f64) -> Record {
    Record::Train(Box::new(TrainRecord { step, loss: Some(loss), ..TrainRecord::default() }))
}

fn board(place: &Place, step: u64) -> TensorBoard {
    TensorBoard::new(&place.path("tensorboard"), step, CONFIG.to_owned())
}

fn files(place: &Place) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(place.path("tensorboard")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn an_image_a_histogram_and_a_text_are_read_as_they_were_written() {
    let place = Place::new();
    let (width, height) = (37, 5);
    let pixels: Vec<u8> = (0..3 * width * height).map(|number| (number * 7 % 251) as u8).collect();
    let histogram = Histogram {
        min: -3.5,
        max: 2.0,
        sum: -1.25,
        squares: 20.5,
        ends: vec![-1.0, 0.0, 2.0],
        counts: vec![3.0, 0.0, 4.0],
    };
    let mut board = board(&place, 0);
    board.record(&record(3, 0.1)).unwrap();
    let image = Rgb { width: width as u32, height: height as u32, pixels: pixels.clone() };
    board.image(3, "views/a", &image).unwrap();
    board.histogram(3, "scores/1t5", &histogram).unwrap();
    let note = "**two** lines\nof text, é";
    board.text(3, "note", note).unwrap();
    let found = reader::read(&place.path("tensorboard"));
    assert_eq!(found["scalars"], json!({"loss/total": [[3, f64::from(0.1_f32)]]}));
    let expected = json!([[3, -3.5, 2.0, 7.0, -1.25, 20.5, [-1.0, 0.0, 2.0], [3.0, 0.0, 4.0]]]);
    assert_eq!(found["histograms"], json!({"scores/1t5": expected}));
    let config = format!("```toml\n{CONFIG}```\n");
    assert_eq!(found["texts"], json!({"config": [[1, config]], "note": [[3, note]]}));
    let image = &found["images"]["views/a"][0];
    assert_eq!([&image[0], &image[1], &image[2]], [&json!(3), &json!(width), &json!(height)]);
    let png = image::load_from_memory(&reader::decoded(image[3].as_str().unwrap())).unwrap();
    assert_eq!(png.into_rgb8().into_raw(), pixels);
}

#[test]
fn a_changed_byte_is_reported_wherever_it_is() {
    let place = Place::new();
    let mut board = board(&place, 0);
    board.record(&record(1, 2.0)).unwrap();
    board.image(1, "views/a", &Rgb { width: 2, height: 2, pixels: vec![9; 12] }).unwrap();
    let file = files(&place).remove(0);
    let found: Value =
        serde_json::from_str(&python("board.py", &["damaged", file.to_str().unwrap()])).unwrap();
    assert_eq!(
        found["events"],
        json!([5, false]),
        "the version, the start, the settings, the record, the image"
    );
    let reported = found["reported"].as_array().unwrap();
    assert_eq!(reported.len() as u64, fs::metadata(&file).unwrap().len());
    assert!(reported.iter().all(|reported| *reported == json!(true)), "{reported:?}");
}

/// A kill may leave a part of the last record. The next process says the rest, in its own file.
#[test]
fn a_file_that_was_cut_is_read_up_to_there() {
    let place = Place::new();
    let mut first = board(&place, 0);
    for step in 1..=4 {
        first.record(&record(step, step as f64)).unwrap();
    }
    let file = files(&place).remove(0);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let mut second = board(&place, 2);
    second.record(&record(3, 30.0)).unwrap();
    let found = reader::read(&place.path("tensorboard"));
    assert_eq!(found["scalars"]["loss/total"], json!([[1, 1.0], [2, 2.0], [3, 30.0]]));
    let steps: Vec<_> = found["texts"]["config"].as_array().unwrap().iter().map(|text| &text[0]).collect();
    assert_eq!(steps, [1, 3], "the settings of both processes");
}
