//! The writer of a shard.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::{Error, Result, partial::Partial};

/// A writer of one shard, a tar file of samples, which appears under its name only when it is complete.
///
/// Until [`finish`](Self::finish) the bytes are in a hidden temporary file of the same folder, which a
/// dropped writer removes. The same calls write the same bytes: times and owners are zero. Names longer than
/// the 100 bytes of the tar header are written as GNU long names.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let mut writer = shards::ShardWriter::create(folder.path().join("train-000.tar"))?;
/// writer.append("cats/0001", &[("jpg", b"...".as_slice()), ("cls", b"3")])?;
/// writer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ShardWriter {
    path: PathBuf,
    partial: Partial,
    tar: Tar,
    last_key: String,
}

impl ShardWriter {
    /// Begins a shard at `path`; a file of that name is replaced when the shard is finished.
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let partial = Partial::beside(&path).map_err(|source| write_error(&path, source))?;
        let file = partial.create().map_err(|source| write_error(&path, source))?;
        let tar = Tar { file: BufWriter::with_capacity(1 << 18, file) };
        Ok(Self { path, partial, tar, last_key: String::new() })
    }

    /// Appends one sample: for each member its extension (`jpg`, `cls`, `json` …) and its bytes.
    ///
    /// The key may contain folders (`a/b/name`). Its base name must not contain a dot, where readers would
    /// end the key, and the key must differ from the previous one, with which readers would merge the sample.
    ///
    /// # Errors
    /// The key is invalid, or the file cannot be written.
    pub fn append(&mut self, key: &str, members: &[(&str, &[u8])]) -> Result<()> {
        self.check_key(key)?;
        for (extension, data) in members {
            let name = format!("{key}.{extension}");
            self.tar.member(name.as_bytes(), data).map_err(|source| write_error(&self.path, source))?;
        }
        key.clone_into(&mut self.last_key);
        Ok(())
    }

    /// Appends complete members of another shard, from the first header to the padding after the last data.
    /// Padding that the other shard lacks is added.
    pub(crate) fn append_members(&mut self, bytes: &[u8]) -> Result<()> {
        self.tar.data(bytes).map_err(|source| write_error(&self.path, source))
    }

    /// Appends a file under a name of another shard.
    pub(crate) fn append_file(&mut self, name: &[u8], data: &[u8]) -> Result<()> {
        self.tar.member(name, data).map_err(|source| write_error(&self.path, source))
    }

    /// Ends the shard, syncs it and gives it its name.
    ///
    /// # Errors
    /// The file cannot be written; a file of that name is unchanged then.
    pub fn finish(self) -> Result<()> {
        let Self { path, partial, tar, .. } = self;
        tar.end().and_then(|()| partial.finish()).map_err(|source| write_error(&path, source))
    }

    fn check_key(&self, key: &str) -> Result<()> {
        let refuse = |reason| Err(Error::Key { path: self.path.clone(), key: key.to_owned(), reason });
        let base = key.rsplit('/').next().unwrap_or_default();
        if base.is_empty() {
            return refuse("it has no base name");
        }
        if base.contains('.') {
            return refuse("its base name contains a dot, where readers would end the key");
        }
        if key.split('/').any(|part| part.is_empty() || part == "." || part == "..") || key.contains('\0') {
            return refuse("it is not a plain relative path");
        }
        if key == self.last_key {
            return refuse("the previous sample has the same key");
        }
        Ok(())
    }
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

/// The part of the tar format that is written.
#[derive(Debug)]
struct Tar {
    file: BufWriter<File>,
}

impl Tar {
    fn member(&mut self, name: &[u8], data: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        if name.len() > 100 {
            self.long_name(name)?;
        }
        // A long name is cut here; readers take it from the header before.
        let field = &mut header.as_old_mut().name;
        let length = name.len().min(field.len());
        field[..length].copy_from_slice(&name[..length]);
        self.entry(header, data)
    }

    fn long_name(&mut self, name: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_path("././@LongLink")?;
        header.set_mode(0o644);
        header.set_size(name.len() as u64 + 1);
        let mut data = name.to_vec();
        data.push(0);
        self.entry(header, &data)
    }

    fn entry(&mut self, mut header: tar::Header, data: &[u8]) -> io::Result<()> {
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.file.write_all(header.as_bytes())?;
        self.data(data)
    }

    /// Writes bytes, and zeros up to the end of the block.
    fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        let padding = data.len().next_multiple_of(512) - data.len();
        self.file.write_all(&[0; 512][..padding])
    }

    fn end(mut self) -> io::Result<()> {
        self.file.write_all(&[0; 1024])?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read};

    use super::*;

    fn names(path: &Path) -> Vec<(String, Vec<u8>)> {
        let mut tar = tar::Archive::new(File::open(path).unwrap());
        let entries = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            (name, data)
        });
        entries.collect()
    }

    #[test]
    fn the_tar_crate_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        let long = format!("folder/{}", "ä".repeat(150));
        writer.append("a/1", &[("jpg", &[7; 513]), ("cls", b"3")]).unwrap();
        writer.append(&long, &[("png", &[]), ("cls", b"4")]).unwrap();
        writer.finish().unwrap();
        let expected = vec![
            ("a/1.jpg".to_owned(), vec![7; 513]),
            ("a/1.cls".to_owned(), b"3".to_vec()),
            (format!("{long}.png"), vec![]),
            (format!("{long}.cls"), b"4".to_vec()),
        ];
        assert_eq!(names(&path), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unfinished_shard_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ShardWriter::create(folder.path().join("x.tar")).unwrap();
        writer.append("1", &[("jpg", b"x")]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(writer);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn keys_that_readers_would_misread_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ShardWriter::create(folder.path().join("x.tar")).unwrap();
        writer.append("same", &[("jpg", b"x")]).unwrap();
        for key in ["", "a/", "a.b", "../a", "/a", "a//b", "same"] {
            assert!(matches!(writer.append(key, &[]), Err(Error::Key { .. })), "{key}");
        }
        writer.append("a.b/c", &[("jpg", b"x")]).unwrap();
    }

    #[test]
    fn the_same_samples_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = ["x.tar", "y.tar"].map(|name| {
            let mut writer = ShardWriter::create(folder.path().join(name)).unwrap();
            writer.append("1", &[("jpg", b"x"), ("cls", b"1")]).unwrap();
            writer.finish().unwrap();
            fs::read(folder.path().join(name)).unwrap()
        });
        assert_eq!(bytes[0], bytes[1]);
    }
}
