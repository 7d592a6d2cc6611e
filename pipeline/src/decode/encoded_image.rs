//! An encoded image with its format.

use super::{
    header::Header,
    jpeg::{self, Preamble},
    png, webp,
};
use crate::{Error, FileFormat, Result};

/// An encoded image with its format. The segments of a JPEG are read once, for all uses.
#[derive(Debug)]
pub(crate) struct EncodedImage<'a> {
    bytes: &'a [u8],
    format: FileFormat,
    jpeg: Option<Preamble<'a>>,
}

impl<'a> EncodedImage<'a> {
    /// Recognizes the format, and reads the segments of a JPEG.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let format = FileFormat::of(bytes);
        let jpeg = (format == FileFormat::Jpeg).then(|| Preamble::read(bytes));
        Self { bytes, format, jpeg }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn format(&self) -> FileFormat {
        self.format
    }

    /// Reads size and orientation; damaged EXIF counts as upright.
    pub(super) fn header(&self) -> Result<Header> {
        match (&self.jpeg, self.format) {
            (Some(jpeg), _) => jpeg.header(),
            (None, FileFormat::Png) => png::header(self.bytes),
            (None, FileFormat::WebP) => webp::header(self.bytes),
            (None, FileFormat::Empty) => Err(Error::NoImage),
            (None, other) => Err(Error::Format(other)),
        }
    }

    /// Returns the header of a JPEG that our own decoder supports, as far as the header tells.
    pub(crate) fn jpeg(&self) -> Option<&jpeg::Header<'a>> {
        self.jpeg.as_ref()?.own()
    }
}
