//! The trait of sources of images.

use crate::{error::ImageError, hint::Hint};

/// A source of images that can be read one by one, in any order and from any thread.
pub trait Source: Sync {
    /// Returns the classes' names by label; empty if the images have no labels.
    fn classes(&self) -> &[String];

    /// Returns the number of images.
    fn count(&self) -> usize;

    /// Returns the approximate size of an image in bytes, without reading it.
    fn bytes(&self, number: usize) -> u64;

    /// Returns the image's key in the shard, unique in the set, without reading the image.
    fn key(&self, number: usize) -> String;

    /// Returns the image's class, if known.
    ///
    /// # Errors
    /// The label is not a class, or cannot be read.
    fn label(&self, number: usize) -> Result<Option<usize>, ImageError>;

    /// Reads one image.
    ///
    /// # Errors
    /// The image cannot be read or converted.
    fn read(&self, number: usize) -> Result<Image, ImageError>;

    /// Returns the number of files and folders that are left out, including hidden ones and those of systems.
    fn ignored(&self) -> u64 {
        0
    }

    /// Returns what can be done so that more of the source is packed.
    fn hint(&self) -> Option<Hint> {
        None
    }

    /// Logs what is left out and why, and doubts about the classes.
    fn log(&self) {}
}

/// An image as it is stored in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The extension of its name in the shard: `jpg`, `png` or `webp`.
    pub extension: &'static str,
    /// The encoded image.
    pub data: Vec<u8>,
    /// The class, if known.
    pub label: Option<usize>,
    /// Whether it was converted from another format to PNG.
    pub is_converted: bool,
}
