//! Recognizes files that are not tar by their first bytes.

use std::path::Path;

use crate::{
    Error, Result, ShardName,
    hint::ContentHint,
    path::is_tar,
    scan::{is_blank, is_header},
};

/// The number of first bytes that are examined.
pub(crate) const LENGTH: u64 = 512;

/// A form of compression.
struct Compression {
    magic: &'static [u8],
    /// The name of the format, and of the program that decompresses it.
    name: &'static str,
    /// The file name extensions that the program removes.
    extensions: &'static [&'static str],
}

const COMPRESSIONS: [Compression; 5] = [
    Compression { magic: &[0x1f, 0x8b], name: "gzip", extensions: &["gz", "tgz"] },
    Compression { magic: &[0x28, 0xb5, 0x2f, 0xfd], name: "zstd", extensions: &["zst", "tzst"] },
    Compression { magic: b"\xfd7zXZ\0", name: "xz", extensions: &["xz", "txz"] },
    Compression { magic: b"BZh", name: "bzip2", extensions: &["bz2", "tbz2"] },
    Compression { magic: &[0x04, 0x22, 0x4d, 0x18], name: "lz4", extensions: &["lz4"] },
];

/// Other file formats: first bytes, name, and cure.
const FOREIGN: [(&[u8], &str, ContentHint); 9] = [
    (b"PK\x03\x04", "a zip archive", ContentHint::Unpack { program: "unzip" }),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", ContentHint::Unpack { program: "7z x" }),
    (b"Rar!\x1a\x07", "a rar archive", ContentHint::Unpack { program: "unrar x" }),
    (b"version https://git-lfs", "a pointer of Git LFS", ContentHint::GitLfs),
    (b"PAR1", "a Parquet file", ContentHint::Extract),
    (b"\x89HDF", "an HDF5 file", ContentHint::Extract),
    (b"\xff\xd8\xff", "a JPEG", ContentHint::Pack),
    (b"\x89PNG", "a PNG", ContentHint::Pack),
    (b"RIFF", "a WebP or another RIFF file", ContentHint::Pack),
];

/// Refuses a shard whose first [`LENGTH`] bytes (all, if it has fewer) are those of another format.
///
/// # Errors
/// [`Error::Compressed`] or [`Error::NotTar`].
pub(crate) fn check(name: &ShardName, start: &[u8]) -> Result<()> {
    if let Some(compression) = COMPRESSIONS.iter().find(|compression| start.starts_with(compression.magic)) {
        let command = unpacking(name.as_str(), compression);
        return Err(Error::Compressed { shard: name.shared(), format: compression.name, command });
    }
    // A file shorter than a header may be the rest of a tar, which has zeros after the first name; text has
    // none.
    let is_short = (start.len() as u64) < LENGTH;
    let may_be_tar = if is_short { start.contains(&0) } else { is_blank(start) || is_header(start) };
    if may_be_tar { Ok(()) } else { Err(not_tar(name, start)) }
}

/// Returns the command that decompresses a file. The programs refuse files without a matching extension.
fn unpacking(name: &str, Compression { name: program, extensions, .. }: &Compression) -> String {
    let path = Path::new(name);
    let is_named_so = path
        .extension()
        .is_some_and(|ending| extensions.iter().any(|known| ending.eq_ignore_ascii_case(known)));
    if is_named_so {
        return format!("{program} -d '{name}'");
    }
    format!("{program} -dc '{name}' > '{}'", path.with_extension("unpacked.tar").display())
}

fn not_tar(name: &ShardName, start: &[u8]) -> Error {
    let error = |what, hint| Error::NotTar { shard: name.shared(), what, hint };
    if let Some((_, what, hint)) = FOREIGN.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return error(Some(*what), hint.clone());
    }
    let text = text(start).map(|text| text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase());
    let is = |begin: &str| text.as_deref().is_some_and(|text| text.starts_with(begin));
    if is("<!doctype html") || is("<html") {
        return error(Some("a web page"), ContentHint::Download);
    }
    if text.as_deref().is_some_and(|text| text.lines().any(|line| is_tar(line.trim()))) {
        return error(Some("a list of shards"), ContentHint::List { pattern: format!("@{name}") });
    }
    let beside = || Path::new(name.as_str()).with_file_name("*.tar").display().to_string();
    let is_file = !name.as_str().contains("://");
    let pattern = (is_file && !is_tar(name.as_str())).then(beside);
    error(text.map(|_| "a text"), ContentHint::Shards { pattern })
}

/// Decodes the bytes as printable text, except for a character that is cut at the end.
fn text(start: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_written = |letter: char| !letter.is_control() || letter.is_ascii_whitespace();
    text.chars().all(is_written).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hint;

    fn error(name: &str, start: &[u8]) -> (String, Hint) {
        let error = check(&name.into(), start).unwrap_err();
        (error.to_string(), error.hint().unwrap())
    }

    #[test]
    fn a_compressed_shard_gets_the_command_that_decompresses_it() {
        for (start, name, command) in [
            (&[0x1f, 0x8b, 8][..], "d/x.tar", "gzip -dc 'd/x.tar' > 'd/x.unpacked.tar'"),
            (&[0x1f, 0x8b, 8], "x.tar.gz", "gzip -d 'x.tar.gz'"),
            (&[0x28, 0xb5, 0x2f, 0xfd], "x.tar", "zstd -dc 'x.tar' > 'x.unpacked.tar'"),
            (b"\xfd7zXZ\0", "x.TAR.XZ", "xz -d 'x.TAR.XZ'"),
            (b"BZh9", "x.tar", "bzip2 -dc 'x.tar' > 'x.unpacked.tar'"),
        ] {
            let (error, hint) = error(name, start);
            assert!(error.starts_with(&format!("`{name}` is compressed with ")), "{error}");
            assert_eq!(hint, Hint::Content(ContentHint::Decompress { command: command.to_owned() }));
        }
    }

    #[test]
    fn a_file_that_is_not_tar_is_named_by_its_format() {
        let page = format!("<!DOCTYPE html>{}", " ".repeat(600));
        let shards = |pattern: Option<&str>| ContentHint::Shards { pattern: pattern.map(str::to_owned) };
        for (start, name, what, cure) in [
            (&b"PK\x03\x04"[..], "x.tar", " but a zip archive", ContentHint::Unpack { program: "unzip" }),
            (&page.as_bytes()[..512], "x.tar", " but a web page", ContentHint::Download),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "x.tar",
                " but a pointer of Git LFS",
                ContentHint::GitLfs,
            ),
            (
                b"# mine\r\ndata/x-<000..003>.tar\r\n",
                "list.txt",
                " but a list of shards",
                ContentHint::List { pattern: "@list.txt".to_owned() },
            ),
            (b"cat\ndog\n", "d/classes.txt", " but a text", shards(Some("d/*.tar"))),
            (b"\xff\xd8\xff\xe0", "d/1.jpg", " but a JPEG", ContentHint::Pack),
            (&[7; 512], "x.tar", "", shards(None)),
        ] {
            let (error, hint) = error(name, start);
            assert_eq!(error, format!("`{name}` is not a tar file{what}"));
            assert_eq!(hint, Hint::Content(cure), "{name}");
        }
    }
}
