//! Raw images of equal size in binary files, as in CIFAR and STL-10.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use pipeline::Rgb;

use super::{
    convert,
    source::{Image, Source},
};
use crate::error::{FileError, ImageError, SourceError};

/// The layout of one image in its file: `header` bytes, then a red, a green and a blue plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The width and height in pixels.
    pub(super) side: usize,
    /// The number of bytes before the planes.
    pub(super) header: usize,
    /// Whether a plane runs down the columns instead of along the rows.
    pub(super) is_column_major: bool,
    /// The place of the label.
    pub(super) label: Label,
}

/// The place of an image's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// A byte of the header, counted from 0.
    Header(usize),
    /// A file beside, `train_y.bin` for `train_X.bin`, with labels from 1.
    Beside,
    /// No label.
    Unknown,
}

impl Layout {
    fn record(&self) -> usize {
        self.header + 3 * self.side * self.side
    }

    /// Converts the planes to rows of interleaved pixels.
    fn interleave(&self, planes: &[u8]) -> Vec<u8> {
        let side = self.side;
        let mut pixels = Vec::with_capacity(planes.len());
        for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
            let at = if self.is_column_major { column * side + row } else { row * side + column };
            pixels.extend((0..3).map(|plane| planes[plane * side * side + at]));
        }
        pixels
    }
}

/// The images of some binary files, one file after the other. Each image is read when it is needed.
#[derive(Debug)]
pub(super) struct Records {
    layout: Layout,
    classes: Vec<String>,
    files: Vec<RecordFile>,
}

#[derive(Debug)]
struct RecordFile {
    path: PathBuf,
    file: File,
    /// The number of its first image in the set.
    first: usize,
    count: usize,
    /// The labels from the file beside it.
    labels: Vec<u8>,
}

impl Records {
    /// Opens the files and checks their sizes.
    pub(super) fn open(paths: &[PathBuf], layout: Layout, classes: Vec<String>) -> Result<Self, SourceError> {
        let mut files = Vec::with_capacity(paths.len());
        let mut first = 0;
        for path in paths {
            let file = RecordFile::open(path, first, layout)?;
            first += file.count;
            files.push(file);
        }
        Ok(Self { layout, classes, files })
    }

    /// Finds the file of an image, and the image's number in it.
    fn locate(&self, number: usize) -> (&RecordFile, usize) {
        let file = self.files.partition_point(|file| file.first <= number) - 1;
        // An empty file begins where the next one does; the last file to begin there has the image.
        let file = &self.files[file];
        (file, number - file.first)
    }

    /// Reads the first bytes of an image's record.
    fn bytes_of(&self, file: &RecordFile, place: usize, count: usize) -> Result<Vec<u8>, ImageError> {
        let mut bytes = vec![0; count];
        let offset = place as u64 * self.layout.record() as u64;
        match file.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(source) => Err(ImageError::Read { path: file.path.clone(), number: place, source }),
        }
    }

    /// Returns the label of an image, given the bytes before its planes.
    fn label_in(&self, file: &RecordFile, place: usize, header: &[u8]) -> Result<Option<usize>, ImageError> {
        let (label, first) = match self.layout.label {
            Label::Header(at) => (header[at], 0),
            Label::Beside => (file.labels[place], 1),
            Label::Unknown => return Ok(None),
        };
        let last = first + self.classes.len() - 1;
        if !(first..=last).contains(&usize::from(label)) {
            return Err(ImageError::Label { path: file.path.clone(), number: place, label, first, last });
        }
        Ok(Some(usize::from(label) - first))
    }
}

impl RecordFile {
    fn open(path: &Path, first: usize, layout: Layout) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(FileError::reading("open", path))?;
        let bytes = file.metadata().map_err(FileError::reading("find out the size of", path))?.len();
        let record = layout.record() as u64;
        if bytes % record != 0 {
            return Err(SourceError::NotWhole { path: path.to_owned(), bytes, image: record });
        }
        let count = (bytes / record) as usize;
        let labels = if layout.label == Label::Beside { labels_beside(path, count)? } else { Vec::new() };
        Ok(Self { path: path.to_owned(), file, first, count, labels })
    }
}

/// Reads the labels in `train_y.bin` for the images in `train_X.bin`.
fn labels_beside(path: &Path, count: usize) -> Result<Vec<u8>, SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace("_X.bin", "_y.bin");
    let path = path.with_file_name(name);
    let labels = fs::read(&path).map_err(FileError::reading("read the labels in", &path))?;
    if labels.len() != count {
        return Err(SourceError::LabelCount { path, labels: labels.len(), images: count });
    }
    Ok(labels)
}

impl Source for Records {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn count(&self) -> usize {
        self.files.iter().map(|file| file.count).sum()
    }

    fn bytes(&self, _: usize) -> u64 {
        self.layout.record() as u64
    }

    fn key(&self, number: usize) -> String {
        let (file, place) = self.locate(number);
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        format!("{}-{place:06}", stem.replace('.', "_"))
    }

    fn label(&self, number: usize) -> Result<Option<usize>, ImageError> {
        let (file, place) = self.locate(number);
        let header = self.bytes_of(file, place, self.layout.header)?;
        self.label_in(file, place, &header)
    }

    fn read(&self, number: usize) -> Result<Image, ImageError> {
        let (file, place) = self.locate(number);
        let record = self.bytes_of(file, place, self.layout.record())?;
        let label = self.label_in(file, place, &record)?;
        let pixels = self.layout.interleave(&record[self.layout.header..]);
        let side = self.layout.side as u32;
        let data = convert::png(&Rgb { width: side, height: side, pixels }).map_err(|error| {
            ImageError::Encode { path: file.path.clone(), number: place, source: error.into() }
        })?;
        Ok(Image { extension: "png", data, label, is_converted: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels_along_rows_or_down_columns() {
        let planes: Vec<u8> = (0..12).collect();
        let layout = |is_column_major| Layout { side: 2, header: 0, is_column_major, label: Label::Unknown };
        assert_eq!(layout(false).interleave(&planes), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(layout(true).interleave(&planes), [0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11]);
    }

    #[test]
    fn images_are_found_across_files_and_empty_ones() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { side: 1, header: 1, is_column_major: false, label: Label::Header(0) };
        let paths: Vec<_> = [2usize, 0, 1]
            .iter()
            .enumerate()
            .map(|(file, &count)| {
                let path = folder.path().join(format!("{file}.bin"));
                fs::write(&path, [file as u8, 9, 9, 9].repeat(count)).unwrap();
                path
            })
            .collect();
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let records = Records::open(&paths, layout, classes).unwrap();
        let labels: Vec<_> = (0..records.count()).map(|number| records.read(number).unwrap().label).collect();
        assert_eq!(labels, [Some(0), Some(0), Some(2)]);
        assert_eq!(records.key(2), "2-000000");
    }
}
