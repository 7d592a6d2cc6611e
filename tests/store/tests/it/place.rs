//! Folders for tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use store_server::Server;

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A folder that is removed in the end.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Makes a folder with the given files and a server for it.
    pub(crate) fn serving(files: &[(&str, &[u8])]) -> (Self, Server) {
        let place = Self::new();
        for (name, content) in files {
            place.write(name, content);
        }
        let server = Server::start(&place.0).unwrap();
        (place, server)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns bytes that differ from their neighbours and from those of other lengths.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 + place / 251 + length) as u8).collect()
}
