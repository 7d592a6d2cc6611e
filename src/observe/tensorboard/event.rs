//! The events of event files, without their time.

use std::io;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use pipeline::Rgb;

use super::message::Message;
use crate::metrics::Histogram;

/// Returns the first event of every file, which names the format.
pub(super) fn version() -> Message {
    Message::default().bytes(3, "brain.Event:2")
}

/// Returns the event that takes back what earlier files say of this step and later ones.
pub(super) fn start(step: u64) -> Message {
    const START: i64 = 1;
    at(step).message(7, Message::default().int(1, START))
}

/// Returns the event of several numbers of a step, each with its tag.
pub(super) fn scalars<'a>(step: u64, numbers: impl Iterator<Item = (&'a str, f64)>) -> Message {
    let summary = numbers.fold(Message::default(), |summary, (tag, number)| {
        summary.message(1, named(tag).float(2, number as f32))
    });
    at(step).message(5, summary)
}

/// Returns the event of a text in Markdown.
pub(super) fn text(step: u64, tag: &str, markdown: &str) -> Message {
    const STRING: i64 = 7;
    let plugin = Message::default().message(1, Message::default().bytes(1, "text"));
    let tensor = Message::default().int(1, STRING).message(2, Message::default()).bytes(8, markdown);
    one(step, named(tag).message(9, plugin).message(8, tensor))
}

/// Returns the event of an image, as a PNG.
///
/// # Errors
///
/// If the image cannot be encoded.
pub(super) fn image(step: u64, tag: &str, image: &Rgb) -> io::Result<Message> {
    const RGB: i64 = 3;
    let Rgb { width, height, pixels } = image;
    let mut png = Vec::new();
    let encoder = PngEncoder::new(&mut png);
    encoder.write_image(pixels, *width, *height, ExtendedColorType::Rgb8).map_err(io::Error::other)?;
    let image = Message::default().int(1, (*height).into()).int(2, (*width).into()).int(3, RGB).bytes(4, png);
    Ok(one(step, named(tag).message(4, image)))
}

/// Returns the event of a histogram.
pub(super) fn histogram(step: u64, tag: &str, histogram: &Histogram) -> Message {
    let Histogram { min, max, sum, squares, ends, counts } = histogram;
    let numbers = Message::default().double(1, *min).double(2, *max).double(3, counts.iter().sum());
    let numbers = numbers.double(4, *sum).double(5, *squares).doubles(6, ends).doubles(7, counts);
    one(step, named(tag).message(5, numbers))
}

fn at(step: u64) -> Message {
    Message::default().int(2, step.cast_signed())
}

fn named(tag: &str) -> Message {
    Message::default().bytes(1, tag)
}

fn one(step: u64, value: Message) -> Message {
    at(step).message(5, Message::default().message(1, value))
}
