//! A source of images.

use crate::error::ImageError;

/// A set of images that can be read one by one, in any order and from any thread.
pub trait Source: Sync {
    /// The classes' names by label; none if the images have no labels.
    fn classes(&self) -> &[String];

    /// Number of images.
    fn count(&self) -> usize;

    /// The approximate number of bytes of an image, without reading it.
    fn bytes(&self, number: usize) -> u64;

    /// The image's key in the shard, unique in the set. Does not read the image.
    fn key(&self, number: usize) -> String;

    /// The image's class, if known.
    fn label(&self, number: usize) -> Result<Option<usize>, ImageError>;

    /// Reads one image.
    fn read(&self, number: usize) -> Result<Image, ImageError>;

    /// Number of files and folders that are left out, hidden ones and those of systems included.
    fn ignored(&self) -> u64 {
        0
    }

    /// Logs what is left out and why, and what is doubtful.
    fn log(&self) {}
}

/// One image as it goes into a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The extension of its name in the shard: `jpg`, `png` or `webp`.
    pub extension: &'static str,
    /// The encoded image.
    pub data: Vec<u8>,
    /// Its class, if known.
    pub label: Option<usize>,
    /// Whether it was of another format, and is a PNG now.
    pub is_converted: bool,
}
