//! What can be packed.

use anyhow::Result;

/// A set of images that can be read one by one, in any order and from any thread.
pub trait Source: Sync {
    /// The classes' names by label; none if the images have no labels.
    fn classes(&self) -> &[String];

    /// Number of images.
    fn count(&self) -> usize;

    /// About how many bytes an image has, without reading it.
    fn bytes(&self, number: usize) -> u64;

    /// The image's key in the shard, unique in the set. Does not read the image.
    fn key(&self, number: usize) -> String;

    /// Reads one image.
    fn read(&self, number: usize) -> Result<Image>;

    /// Files that were passed over because they are no images.
    fn ignored(&self) -> u64 {
        0
    }
}

/// One image as it goes into a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `jpg`, `jpeg`, `png` or `webp`: its name in the shard ends so.
    pub extension: &'static str,
    /// The encoded image.
    pub data: Vec<u8>,
    /// Its class, if known.
    pub label: Option<usize>,
}
