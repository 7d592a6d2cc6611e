//! Errors of single images, which are left out while the others are packed.

use std::{io, path::PathBuf};

use pipeline::FileFormat;

use super::FileError;

/// The reason why an image cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// An image that cannot be read from the file of a binary dataset.
    #[error("cannot read image {number} of `{path}`")]
    Read {
        /// The file of the dataset.
        path: PathBuf,
        /// The number of the image in the file, from 0.
        number: usize,
        /// The cause.
        source: io::Error,
    },
    /// An empty file.
    #[error("`{}` is empty", .path.display().to_string().escape_debug())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file in a format that is neither read nor converted.
    #[error("`{}` is {format}", .path.display().to_string().escape_debug())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format.
        format: FileFormat,
    },
    /// An image that cannot be converted to PNG.
    #[error("cannot convert `{}`", .path.display().to_string().escape_debug())]
    Convert {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<ConvertError>,
    },
    /// Pixels of a binary dataset that cannot be encoded.
    #[error("cannot encode image {number} of `{path}`")]
    Encode {
        /// The file of the dataset.
        path: PathBuf,
        /// The number of the image in the file, from 0.
        number: usize,
        /// The cause.
        source: Box<ConvertError>,
    },
    /// A label of a binary dataset that is not a class.
    #[error("image {number} of `{path}` has label {label}, which is not from {first} to {last}")]
    Label {
        /// The file of the dataset.
        path: PathBuf,
        /// The number of the image in the file, from 0.
        number: usize,
        /// Its label.
        label: u8,
        /// The smallest label of a class.
        first: usize,
        /// The largest label of a class.
        last: usize,
    },
    /// An image that cannot be resized.
    #[error("cannot resize image `{}`", .key.escape_debug())]
    Resize {
        /// Its key.
        key: String,
        /// The cause.
        source: Box<pipeline::Error>,
    },
}

/// The reason why an image cannot be converted to PNG.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A kind of image whose pixels are not known to be those that other programs show.
    #[error("{0}")]
    Kind(&'static str),
    /// A TIFF with colours of such a kind.
    #[error("TIFFs of this kind are not converted ({0:?})")]
    TiffKind(image::ExtendedColorType),
    /// An image without pixels, or with too many.
    #[error("its size of {width}x{height} pixels is zero, or above the limit of {most} pixels")]
    Size {
        /// The width in pixels.
        width: u64,
        /// The height in pixels.
        height: u64,
        /// The most pixels that are converted.
        most: u64,
    },
    /// A GIF that cannot be decoded.
    #[error(transparent)]
    Gif(#[from] gif::DecodingError),
    /// A TIFF that cannot be decoded.
    #[error(transparent)]
    Tiff(#[from] tiff::TiffError),
    /// An image that cannot be decoded, or cannot be encoded as PNG.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}
