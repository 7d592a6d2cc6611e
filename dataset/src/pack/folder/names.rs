//! Classifies folders and files by their names.

use std::path::Path;

use shards::{AnnotationFolder, is_image_folder};

/// Extensions of images, whose first bytes are not examined.
const IMAGES: [&str; 10] = ["jpg", "jpeg", "png", "webp", "jpe", "jfif", "gif", "bmp", "tif", "tiff"];

/// Extensions of images that are neither read nor converted. A camera's raw file is a TIFF that only contains
/// its preview.
const UNREAD: [&str; 33] = [
    "heic", "heif", "hif", "avif", "jxl", "jp2", "j2k", "jpx", "jxr", "psd", "svg", "ico", "tga", "ppm",
    "pgm", "pbm", "pnm", "pcx", "exr", "hdr", "dds", "qoi", "dcm", "raw", "dng", "nef", "cr2", "cr3", "arw",
    "orf", "rw2", "raf", "pef",
];

/// Folders and files of systems and tools; names with a leading dot are not listed.
const SYSTEM: [&str; 19] = [
    "@eadir",
    "@tmp",
    "@recycle",
    "@synoresource",
    "#recycle",
    "#snapshot",
    "__macosx",
    "__pycache__",
    "lost+found",
    "$recycle.bin",
    "system volume information",
    "recycler",
    "node_modules",
    "cvs",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "picasa.ini",
];

/// Endings of the names of masks that lie beside their images.
const MASK_ENDS: [&str; 11] = [
    "mask",
    "masks",
    "seg",
    "segmentation",
    "label",
    "labels",
    "gt",
    "annotation",
    "trimap",
    "groundtruth",
    "matte",
];

/// A part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
    Other,
}

impl Part {
    /// Recognizes a folder that is a part of a dataset by its name, e.g. `Train`, `val2017`, `test_images`.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let words = name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
        let mut part = None;
        for word in words {
            let this = match word {
                "train" | "training" | "trainset" | "trn" => Self::Train,
                "val" | "valid" | "validation" | "valset" | "dev" | "devel" => Self::Validation,
                "test" | "testing" | "testset" | "eval" | "evaluation" | "holdout" => Self::Test,
                "unlabeled" | "unlabelled" | "extra" | "trainval" => Self::Other,
                "images" | "image" | "imgs" | "img" | "set" | "data" | "split" | "folder" => continue,
                _ => return None,
            };
            part = part.or(Some(this));
        }
        part
    }
}

/// Returns whether a folder or file is hidden: `.git`, `.DS_Store`, `._1.jpg`.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Returns whether systems or tools create files or folders of this name.
pub(super) fn is_of_system(name: &str) -> bool {
    SYSTEM.contains(&name.to_lowercase().as_str())
}

/// Returns whether a folder holds annotations, given the names of the folders beside it.
pub(super) fn is_of_annotations<'a>(name: &str, mut beside: impl Iterator<Item = &'a str>) -> bool {
    AnnotationFolder::of(name)
        .is_some_and(|folder| folder.rest.is_empty() && (folder.is_sure || beside.any(is_image_folder)))
}

/// Returns the name of the image of which a file of this stem is the mask: `photo` for `photo_mask` and
/// `photo_mask_2`.
pub(super) fn masked(stem: &str) -> Option<&str> {
    const JOINTS: [char; 4] = ['_', '-', '.', ' '];
    let numbered = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let stem = if numbered.len() < stem.len() { numbered.trim_end_matches(JOINTS) } else { stem };
    let (image, end) = stem.rsplit_once(JOINTS)?;
    MASK_ENDS.contains(&end.to_lowercase().as_str()).then_some(image)
}

/// The kind of a file, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileName {
    Image,
    /// An image of a format that is not read, by its extension.
    Unread(String),
    Unknown,
}

impl FileName {
    pub(super) fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match extension.as_str() {
            known if IMAGES.contains(&known) => Self::Image,
            known if UNREAD.contains(&known) => Self::Unread(extension),
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_dataset_are_recognized_in_any_case_and_with_usual_additions() {
        for (name, part) in [
            ("train", Some(Part::Train)),
            ("TRAIN", Some(Part::Train)),
            ("Training", Some(Part::Train)),
            ("train2017", Some(Part::Train)),
            ("test_images", Some(Part::Test)),
            ("Valid", Some(Part::Validation)),
            ("val-set", Some(Part::Validation)),
            ("unlabeled2017", Some(Part::Other)),
            ("trained", None),
            ("train station", None),
            ("images", None),
            ("42", None),
        ] {
            assert_eq!(Part::of(name), part, "{name}");
        }
    }

    #[test]
    fn a_class_named_mask_is_a_class_unless_a_folder_of_images_is_beside_it() {
        let is_of_annotations =
            |name, beside: &[&'static str]| is_of_annotations(name, beside.iter().copied());
        assert!(!is_of_annotations("mask", &["no_mask"]));
        assert!(is_of_annotations("Mask", &["Images"]));
        assert!(is_of_annotations("ground_truth", &["cat"]) && is_of_annotations("Annotations", &[]));
    }

    #[test]
    fn masks_are_recognized_by_the_ending_of_their_names() {
        for (stem, image) in [
            ("photo_mask", Some("photo")),
            ("benign (1)_mask_1", Some("benign (1)")),
            ("photo-MASK", Some("photo")),
            ("photo.gt", Some("photo")),
            ("photo_1", None),
            ("mask", None),
            ("unmask", None),
        ] {
            assert_eq!(masked(stem), image, "{stem}");
        }
    }
}
