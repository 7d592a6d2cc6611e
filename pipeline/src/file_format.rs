//! Formats of files, recognized by their first bytes.

use std::fmt;

/// The format of a file, as far as its first bytes tell; names of files are not reliable.
///
/// Displayed with its article, so that it fits into a sentence: `is a GIF image`.
///
/// ```
/// use pipeline::FileFormat;
///
/// let format = FileFormat::of(b"GIF89a...");
/// assert_eq!(format, FileFormat::Gif);
/// assert!(!format.is_decoded());
/// assert_eq!(format!("the file is {format}"), "the file is a GIF image");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variants are named after the formats, and `name` has the full names")]
pub enum FileFormat {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
    BigTiff,
    Heic,
    Avif,
    JpegXl,
    JpegXr,
    Jpeg2000,
    Icon,
    Cursor,
    Psd,
    Netpbm,
    OpenExr,
    Radiance,
    Dds,
    Qoi,
    Dicom,
    CanonRaw,
    Svg,
    Html,
    Xml,
    Json,
    GitLfsPointer,
    Base64Image,
    Text,
    Pdf,
    Zip,
    Gzip,
    Bzip2,
    Xz,
    Zstandard,
    SevenZip,
    Rar,
    Tar,
    Video,
    Audio,
    Numpy,
    Pickle,
    Hdf5,
    Parquet,
    Sqlite,
    AppleDouble,
    /// Only zero bytes, as interrupted downloads and damaged disks leave them.
    Zeros,
    /// No bytes at all.
    Empty,
    /// None of the others.
    Unknown,
}

use FileFormat as F;

/// Signatures: their offsets, bytes and formats. The first match counts.
const SIGNATURES: [(usize, &[u8], FileFormat); 65] = [
    (0, b"\xFF\xD8", F::Jpeg),
    (0, b"\x89PNG", F::Png),
    (0, b"GIF8", F::Gif),
    (0, b"BM", F::Bmp), // see `is_bmp`
    (0, b"II*\0\x10\0\0\0CR", F::CanonRaw),
    (0, b"II*\0", F::Tiff),
    (0, b"MM\0*", F::Tiff),
    (0, b"II+\0", F::BigTiff),
    (0, b"MM\0+", F::BigTiff),
    (0, b"II\xBC\x01", F::JpegXr),
    (0, b"\xFF\x0A", F::JpegXl),
    (0, b"\0\0\0\x0CJXL \r\n\x87\n", F::JpegXl),
    (0, b"\0\0\0\x0CjP  \r\n\x87\n", F::Jpeg2000),
    (0, b"\xFF\x4F\xFF\x51", F::Jpeg2000),
    (0, b"\0\0\x01\0", F::Icon),
    (0, b"\0\0\x02\0", F::Cursor),
    (0, b"8BPS", F::Psd),
    (0, b"P1\n", F::Netpbm),
    (0, b"P2\n", F::Netpbm),
    (0, b"P3\n", F::Netpbm),
    (0, b"P4\n", F::Netpbm),
    (0, b"P5\n", F::Netpbm),
    (0, b"P6\n", F::Netpbm),
    (0, b"P7\n", F::Netpbm),
    (0, b"P5 ", F::Netpbm),
    (0, b"P6 ", F::Netpbm),
    (0, b"v/1\x01", F::OpenExr),
    (0, b"#?RADIANCE", F::Radiance),
    (0, b"#?RGBE", F::Radiance),
    (0, b"DDS ", F::Dds),
    (0, b"qoif", F::Qoi),
    (128, b"DICM", F::Dicom),
    (0, b"%PDF-", F::Pdf),
    (0, b"PK\x03\x04", F::Zip),
    (0, b"PK\x05\x06", F::Zip),
    (0, b"\x1F\x8B", F::Gzip),
    (0, b"BZh", F::Bzip2),
    (0, b"\xFD7zXZ\0", F::Xz),
    (0, b"\x28\xB5\x2F\xFD", F::Zstandard),
    (0, b"7z\xBC\xAF\x27\x1C", F::SevenZip),
    (0, b"Rar!\x1A\x07", F::Rar),
    (257, b"ustar", F::Tar),
    (8, b"AVI ", F::Video),
    (8, b"WAVE", F::Audio),
    (0, b"\x1A\x45\xDF\xA3", F::Video),
    (0, b"\0\0\x01\xBA", F::Video),
    (0, b"FLV\x01", F::Video),
    (0, b"ID3", F::Audio),
    (0, b"fLaC", F::Audio),
    (0, b"OggS", F::Audio),
    (0, b"\x93NUMPY", F::Numpy),
    (0, b"\x80\x02", F::Pickle),
    (0, b"\x80\x03", F::Pickle),
    (0, b"\x80\x04", F::Pickle),
    (0, b"\x80\x05", F::Pickle),
    (0, b"\x89HDF\r\n", F::Hdf5),
    (0, b"PAR1", F::Parquet),
    (0, b"SQLite format 3\0", F::Sqlite),
    (0, b"\0\x05\x16\x07", F::AppleDouble),
    (0, b"version https://git-lfs", F::GitLfsPointer),
    (0, b"oid sha256:", F::GitLfsPointer),
    (0, b"/9j/", F::Base64Image),
    (0, b"iVBORw0KGgo", F::Base64Image),
    (0, b"UklGR", F::Base64Image),
    (0, b"data:image/", F::Base64Image),
];

/// The bytes of a text that are examined.
const TEXT_HEAD: usize = 1_024;

impl FileFormat {
    /// Recognizes the format of `bytes`; the first kilobyte is enough.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => F::Empty,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => F::WebP,
            [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] => of_brands(brands),
            _ if bytes.iter().all(|byte| *byte == 0) => F::Zeros,
            _ => of_signature(bytes).or_else(|| of_text(bytes)).unwrap_or(F::Unknown),
        }
    }

    /// Returns whether [`decode`](crate::decode()) supports the format.
    pub fn is_decoded(self) -> bool {
        matches!(self, F::Jpeg | F::Png | F::WebP)
    }

    /// Returns the format's name with its article.
    fn name(self) -> &'static str {
        match self {
            F::Jpeg => "a JPEG image",
            F::Png => "a PNG image",
            F::WebP => "a WebP image",
            F::Gif => "a GIF image",
            F::Bmp => "a BMP image",
            F::Tiff => "a TIFF image",
            F::BigTiff => "a BigTIFF image",
            F::Heic => "a HEIC image",
            F::Avif => "an AVIF image",
            F::JpegXl => "a JPEG XL image",
            F::JpegXr => "a JPEG XR image",
            F::Jpeg2000 => "a JPEG 2000 image",
            F::Icon => "a Windows icon (ICO)",
            F::Cursor => "a Windows cursor (CUR)",
            F::Psd => "a Photoshop image (PSD)",
            F::Netpbm => "a Netpbm image (PBM, PGM, PPM)",
            F::OpenExr => "an OpenEXR image",
            F::Radiance => "a Radiance image (HDR)",
            F::Dds => "a DDS texture",
            F::Qoi => "a QOI image",
            F::Dicom => "a DICOM image",
            F::CanonRaw => "a camera's raw image (CR2, CR3)",
            F::Svg => "an SVG drawing",
            F::Html => "an HTML page",
            F::Xml => "an XML file",
            F::Json => "a JSON file",
            F::GitLfsPointer => "a git-lfs pointer",
            F::Base64Image => "an image in base64",
            F::Text => "a text file",
            F::Pdf => "a PDF",
            F::Zip => "a zip archive",
            F::Gzip => "a gzip file",
            F::Bzip2 => "a bzip2 file",
            F::Xz => "an xz file",
            F::Zstandard => "a zstd file",
            F::SevenZip => "a 7z archive",
            F::Rar => "a RAR archive",
            F::Tar => "a tar archive",
            F::Video => "a video",
            F::Audio => "an audio file",
            F::Numpy => "a NumPy array",
            F::Pickle => "a Python pickle",
            F::Hdf5 => "an HDF5 file",
            F::Parquet => "a Parquet file",
            F::Sqlite => "an SQLite database",
            F::AppleDouble => "metadata of macOS (AppleDouble)",
            F::Zeros => "zero bytes alone",
            F::Empty => "an empty file",
            F::Unknown => "data of an unknown format",
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn of_signature(bytes: &[u8]) -> Option<FileFormat> {
    let begins = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let fitting = SIGNATURES.iter().filter(|(at, magic, _)| begins(*at, magic)).map(|(.., format)| *format);
    let mut sure = fitting.filter(|format| *format != F::Bmp || is_bmp(bytes));
    sure.next()
}

/// Returns whether the header has a size that BMP defines: its two letters alone could also begin a text.
fn is_bmp(bytes: &[u8]) -> bool {
    matches!(bytes.get(14..18), Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
}

/// Recognizes an ISO base media file by its brands: its own, a version, and the brands that it is compatible
/// with.
fn of_brands(brands: &[u8]) -> FileFormat {
    let brands = brands.as_chunks::<4>().0;
    let has = |names: &[&[u8; 4]]| brands.iter().take(16).any(|brand| names.contains(&brand));
    match brands.first() {
        _ if has(&[b"avif", b"avis"]) => F::Avif,
        _ if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) => F::Heic,
        Some(b"crx ") => F::CanonRaw,
        Some(b"jp2 " | b"jpx ") => F::Jpeg2000,
        Some(b"jxl ") => F::JpegXl,
        Some(b"M4A ") => F::Audio,
        _ => F::Video,
    }
}

/// Recognizes a text and its kind.
fn of_text(bytes: &[u8]) -> Option<FileFormat> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Some(F::Text); // UTF-16
    }
    let head = &bytes[..bytes.len().min(TEXT_HEAD)];
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    if !is_text(head) {
        return None;
    }
    let head = head.to_ascii_lowercase();
    let has = |tag: &[u8]| head.windows(tag.len()).any(|part| part == tag);
    Some(match head.first() {
        Some(b'<') if has(b"<svg") => F::Svg,
        Some(b'<') if has(b"<!doctype html") || has(b"<html") || has(b"<head") || has(b"<body") => F::Html,
        Some(b'<') => F::Xml,
        Some(b'{' | b'[') => F::Json,
        _ => F::Text,
    })
}

/// Returns whether `head` is UTF-8 without control characters; its last character may be cut.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head,
        Err(error) if error.error_len().is_none() => &head[..error.valid_up_to()],
        Err(_) => return false,
    };
    let is_control =
        |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C)) || *byte == 0x7F;
    !valid.iter().any(is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_mistaken_for_images_are_named() {
        for (bytes, words) in [
            (&b""[..], "an empty file"),
            (b"\xFF\xD8\xFF\xE0", "a JPEG image"),
            (b"\x89PNG\r\n\x1a\n", "a PNG image"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP image"),
            (b"RIFF\x10\0\0\0AVI LIST", "a video"),
            (b"GIF89a\x01\0\x01\0", "a GIF image"),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0", "a BMP image"),
            (b"BMW and other cars", "a text file"),
            (b"II*\0\x08\0\0\0\x10\0", "a TIFF image"),
            (b"MM\0*\0\0\0\x08", "a TIFF image"),
            (b"II*\0\x10\0\0\0CR\x02\0", "a camera's raw image (CR2, CR3)"),
            (b"MM\0+\0\x08\0\0", "a BigTIFF image"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
            (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B", "an AVIF image"),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0mif1avifmiaf", "an AVIF image"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "a video"),
            (b"\xFF\x0A\xFA\x1F", "a JPEG XL image"),
            (b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "a JPEG XL image"),
            (b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "a JPEG 2000 image"),
            (b"\0\0\x01\0\x01\0\x10\x10", "a Windows icon (ICO)"),
            (b"P6\n60 40\n255\n", "a Netpbm image (PBM, PGM, PPM)"),
            (b"%PDF-1.7", "a PDF"),
            (b"PK\x03\x04\x14\0", "a zip archive"),
            (b"\x1F\x8B\x08\0", "a gzip file"),
            (b"\x93NUMPY\x01\0", "a NumPy array"),
            (b"\x80\x04\x95\x10", "a Python pickle"),
            (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "metadata of macOS (AppleDouble)"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "a git-lfs pointer"),
            (b"/9j/4AAQSkZJRgABAQAAAQABAAD", "an image in base64"),
            (b"data:image/png;base64,iVBORw0", "an image in base64"),
            (b"<!DOCTYPE html><html><head>", "an HTML page"),
            (b"\xEF\xBB\xBF\r\n <HTML>\n", "an HTML page"),
            (b"<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg xmlns=\"", "an SVG drawing"),
            (b"<svg width=\"1\"/>", "an SVG drawing"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "an XML file"),
            (b"{\"error\": \"not found\"}", "a JSON file"),
            (b"404 Not Found\n", "a text file"),
            ("Zugriff verweigert – ä".as_bytes(), "a text file"),
            (b"\xFF\xFEh\0i\0", "a text file"),
            (&[0; 600], "zero bytes alone"),
            (b"\x07\x01\xFE\x9C\0\0", "data of an unknown format"),
        ] {
            assert_eq!(FileFormat::of(bytes).to_string(), words, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_tar_and_a_scan_are_recognized_by_bytes_further_on() {
        let at = |place: usize, magic: &[u8]| [&vec![0; place], magic].concat();
        assert_eq!(FileFormat::of(&at(257, b"ustar\x0000")), F::Tar);
        assert_eq!(FileFormat::of(&at(128, b"DICM\x02\0")), F::Dicom);
    }

    #[test]
    fn a_text_stays_text_if_the_first_kilobyte_cuts_a_letter() {
        let text = "a".repeat(TEXT_HEAD - 1) + "ä and so on";
        assert_eq!(FileFormat::of(text.as_bytes()), F::Text);
    }

    #[test]
    fn every_byte_sequence_has_a_format() {
        for length in 0..40 {
            for byte in 0..=255 {
                assert!(!FileFormat::of(&vec![byte; length]).to_string().is_empty());
            }
        }
    }
}
