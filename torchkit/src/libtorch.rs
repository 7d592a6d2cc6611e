//! The libtorch that the loader found, which may differ from the one that the program was built against.

use std::{
    ffi::CStr,
    fs,
    path::{Path, PathBuf},
    ptr,
};

use crate::{
    failure::Failure,
    ffi::{self, check},
};

/// The libtorch in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// Its version, as the library reports it.
    pub version: Option<String>,
    /// The version of the headers that the program was compiled with.
    pub expected: String,
    /// The CUDA version that it was built for; `None` for a CPU build.
    pub cuda: Option<String>,
    /// The folder that it was loaded from.
    pub folder: Option<PathBuf>,
}

impl Libtorch {
    /// Asks the library for its versions and the kernel for its folder.
    ///
    /// # Errors
    /// The library's failure to report its build.
    #[expect(unsafe_code, reason = "foreign strings")]
    pub fn detect() -> Result<Self, Failure> {
        let mut build = ptr::null();
        // SAFETY: on success `build` is set to a string.
        check(unsafe { ffi::amdim_build(&raw mut build) })?;
        // SAFETY: both strings are NUL-terminated and live as long as the process.
        let (build, expected) =
            unsafe { (CStr::from_ptr(build), CStr::from_ptr(ffi::amdim_built_against())) };
        let build = build.to_string_lossy();
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Ok(Self {
            version: setting(&build, "TORCH_VERSION").map(str::to_owned),
            expected: expected.to_string_lossy().into_owned(),
            cuda: setting(&build, "CUDA_VERSION").map(str::to_owned),
            folder: mapped(&maps, "libtorch_cpu.so").and_then(Path::parent).map(Path::to_owned),
        })
    }

    /// Returns whether its CUDA half is in the same folder.
    pub fn has_cuda_half(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.join("libtorch_cuda.so").exists())
    }
}

/// Finds a value among libtorch's build settings, written `KEY=VALUE, KEY=VALUE`.
fn setting<'a>(build: &'a str, key: &str) -> Option<&'a str> {
    let pair = |part: &'a str| part.trim().split_once('=');
    let value = build.split([',', '\n']).filter_map(pair).find(|(name, _)| *name == key)?.1;
    (!value.is_empty()).then_some(value)
}

/// Finds the file of this name in the text of a `/proc/PID/maps`.
fn mapped<'a>(maps: &'a str, name: &str) -> Option<&'a Path> {
    let paths = maps.lines().filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
    paths.into_iter().find(|path| path.file_name().is_some_and(|found| found == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_setting_is_found_by_its_whole_name() {
        let build = "PyTorch built with:\n  - GCC 13.3\n  - Build settings: BLAS_INFO=mkl, CUDA_VERSION=13.0, TORCH_VERSION=2.11.0, X=, \n";
        assert_eq!(setting(build, "TORCH_VERSION"), Some("2.11.0"));
        assert_eq!(setting(build, "CUDA_VERSION"), Some("13.0"));
        assert_eq!(setting(build, "VERSION"), None);
        assert_eq!(setting(build, "X"), None);
    }

    #[test]
    fn a_mapped_library_is_found_by_its_name_even_if_its_path_has_spaces() {
        let maps = "7f0-7f1 r--p 00000000 00:00 0\n7f2-7f3 r-xp 0 08:01 12   /a b/libtorch_cpu.so\n";
        assert_eq!(mapped(maps, "libtorch_cpu.so"), Some(Path::new("/a b/libtorch_cpu.so")));
        assert_eq!(mapped(maps, "libtorch.so"), None);
    }

    #[test]
    fn the_library_in_use_is_the_one_that_was_built_against() {
        let found = Libtorch::detect().unwrap();
        assert_eq!(found.version.as_ref(), Some(&found.expected), "{found:?}");
        assert!(found.folder.unwrap().join("libtorch_cpu.so").exists());
    }
}
