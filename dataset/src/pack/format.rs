//! The formats of sources, and the files of the binary ones.

use std::path::{Path, PathBuf};

use super::records::{Label, Layout};

/// The format of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The format is recognized by the names of the files.
    Auto,
    /// A folder with a folder of images for each class, or with images without classes.
    Folder,
    /// CIFAR-10: `data_batch_1.bin` … and `test_batch.bin`.
    Cifar10,
    /// CIFAR-100: `train.bin` and `test.bin`, with their fine labels.
    Cifar100,
    /// STL-10: `train_X.bin`, `test_X.bin`, `unlabeled_X.bin`, and labels in `train_y.bin`, `test_y.bin`.
    Stl10,
}

impl Format {
    pub(super) const BINARY: [Self; 3] = [Self::Cifar10, Self::Cifar100, Self::Stl10];

    /// Returns the parts of a binary dataset, and the files of each.
    pub(super) fn splits(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Cifar10 => &[("train", &CIFAR10_TRAIN), ("test", &["test_batch.bin"])],
            Self::Cifar100 => &[("train", &["train.bin"]), ("test", &["test.bin"])],
            Self::Stl10 => {
                &[("train", &["train_X.bin"]), ("test", &["test_X.bin"]), ("unlabeled", &["unlabeled_X.bin"])]
            }
            Self::Auto | Self::Folder => &[],
        }
    }

    /// Returns the name of the folder that the dataset's archive unpacks to.
    pub(super) fn unpacked(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
            Self::Stl10 => "stl10_binary",
            Self::Auto | Self::Folder => "",
        }
    }

    /// Returns the file of class names, and their number.
    pub(super) fn class_list(self) -> (&'static str, usize) {
        match self {
            Self::Cifar100 => ("fine_label_names.txt", 100),
            Self::Stl10 => ("class_names.txt", 10),
            _ => ("batches.meta.txt", 10),
        }
    }

    pub(super) fn layout(self, split: &str) -> Layout {
        let cifar =
            |header, at| Layout { side: 32, header, is_column_major: false, label: Label::Header(at) };
        match self {
            Self::Cifar100 => cifar(2, 1),
            Self::Stl10 => {
                let label = if split == "unlabeled" { Label::Unknown } else { Label::Beside };
                Layout { side: 96, header: 0, is_column_major: true, label }
            }
            _ => cifar(1, 0),
        }
    }

    /// Returns the split that a file of this dataset belongs to.
    pub(super) fn split_of(self, file: &str) -> Option<&'static str> {
        self.splits().iter().find(|(_, files)| files.contains(&file)).map(|(name, _)| *name)
    }

    /// Finds the folder with the dataset's files: `root`, or the unpacked one in it.
    pub(super) fn folder_in(self, root: &Path) -> Option<PathBuf> {
        let has_files = |folder: &PathBuf| {
            self.splits().iter().any(|(_, files)| files.iter().any(|file| folder.join(file).exists()))
        };
        [root.to_owned(), root.join(self.unpacked())].into_iter().find(has_files)
    }
}

const CIFAR10_TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
