//! Images that cannot be packed. Each is left out, and the others are packed.

use std::{io, path::PathBuf};

use pipeline::FileFormat;

use super::FileError;

/// Why one image cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Its file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be read from the file of a binary dataset.
    #[error("cannot read image {number} of `{path}`")]
    Read {
        /// The file of the dataset.
        path: PathBuf,
        /// The number of the image in it, from 0 on.
        number: usize,
        /// The cause.
        source: io::Error,
    },
    /// Its file is empty.
    #[error("`{}` is empty", .path.display().to_string().escape_debug())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its file is of a format that is neither read nor converted.
    #[error("`{}` is {format}", .path.display().to_string().escape_debug())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: FileFormat,
    },
    /// It cannot be converted to a PNG.
    #[error("cannot convert `{}`", .path.display().to_string().escape_debug())]
    Convert {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<ConvertError>,
    },
    /// Pixels of a binary dataset cannot be encoded.
    #[error("cannot encode image {number} of `{path}`")]
    Encode {
        /// The file of the dataset.
        path: PathBuf,
        /// The number of the image in it, from 0 on.
        number: usize,
        /// The cause.
        source: Box<ConvertError>,
    },
    /// Its label in a binary dataset is no class.
    #[error("image {number} of `{path}` has label {label}, which is not from {first} to {last}")]
    Label {
        /// The file of the dataset.
        path: PathBuf,
        /// The number of the image in it, from 0 on.
        number: usize,
        /// Its label.
        label: u8,
        /// The smallest label of a class.
        first: usize,
        /// The largest label of a class.
        last: usize,
    },
    /// It cannot be made smaller.
    #[error("cannot resize image `{}`", .key.escape_debug())]
    Resize {
        /// Its key.
        key: String,
        /// The cause.
        source: Box<pipeline::Error>,
    },
}

/// Why an image cannot be converted to a PNG.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It is of a kind whose pixels are not known to be those that other programs show.
    #[error("{0}")]
    Kind(&'static str),
    /// The same of a TIFF with these colours.
    #[error("TIFFs of this kind are not converted ({0:?})")]
    TiffKind(image::ExtendedColorType),
    /// It has no pixels, or too many.
    #[error("its {width}x{height} pixels are none, or more than {most}")]
    Size {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
        /// The most pixels that are converted.
        most: u64,
    },
    /// It is no readable GIF.
    #[error(transparent)]
    Gif(#[from] gif::DecodingError),
    /// It is no readable TIFF.
    #[error(transparent)]
    Tiff(#[from] tiff::TiffError),
    /// It cannot be decoded, or not be encoded as PNG.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}
