//! Names of folders that hold annotations or images.

/// Endings of the names of folders that hold annotations, such as masks, rather than images.
const ANNOTATIONS: [&str; 23] = [
    "anno",
    "annot",
    "annotation",
    "annotations",
    "bboxes",
    "boundingboxes",
    "depthmaps",
    "groundtruth",
    "groundtruths",
    "imagesets",
    "labelmaps",
    "labels",
    "landmarks",
    "masks",
    "maskspng",
    "segmentationclass",
    "segmentationclassaug",
    "segmentationmasks",
    "segmentationobject",
    "segmentations",
    "stuffthingmaps",
    "trimaps",
    "xmls",
];

/// Endings that mean annotations only beside a folder of images; without one such folders may be classes.
const ANNOTATIONS_BESIDE_IMAGES: [&str; 11] =
    ["contours", "depth", "edges", "gt", "gtcoarse", "gtfine", "label", "mask", "seg", "segmentation", "xml"];

/// Names of folders that hold all images of a dataset rather than one class.
const IMAGES: [&str; 17] = [
    "data",
    "dataset",
    "frames",
    "image",
    "images",
    "imagesall",
    "img",
    "imgs",
    "jpegimages",
    "jpegs",
    "jpg",
    "leftimgbit",
    "photos",
    "pictures",
    "pics",
    "png",
    "raw",
];

/// A folder whose name has the ending of an annotation folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotationFolder {
    /// The letters before the ending, in lower case: `train` for `Train_masks`, empty for `masks`.
    pub rest: String,
    /// Whether it holds annotations even if no folder of images is beside it.
    pub is_sure: bool,
}

impl AnnotationFolder {
    /// Recognizes an annotation folder by its name.
    pub fn of(name: &str) -> Option<Self> {
        let letters = letters(name);
        let sure = ANNOTATIONS.map(|end| (end, true)).into_iter();
        let ends = sure.chain(ANNOTATIONS_BESIDE_IMAGES.map(|end| (end, false)));
        let matching = ends.filter_map(|(end, is_sure)| Some((letters.strip_suffix(end)?, is_sure)));
        let (rest, is_sure) = matching.min_by_key(|(rest, _)| rest.len())?;
        Some(Self { rest: rest.to_owned(), is_sure })
    }
}

/// Returns whether a folder's name only says that it holds images.
pub fn is_image_folder(name: &str) -> bool {
    IMAGES.contains(&letters(name).as_str())
}

/// Returns the letters of a name, in lower case.
pub(crate) fn letters(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotation_folders_are_recognized_by_the_ending_of_their_names() {
        for (name, expected) in [
            ("masks", Some(("", true))),
            ("Segmentation_Class", Some(("", true))),
            ("train_masks", Some(("train", true))),
            ("ISIC2018_Task1_Training_GroundTruth", Some(("isictasktraining", true))),
            ("DUTS-TR-Mask", Some(("dutstr", false))),
            ("without_mask", Some(("without", false))),
            ("gtFine", Some(("", false))),
            ("cats", None),
            ("n02085620", None),
        ] {
            let found = AnnotationFolder::of(name);
            let found = found.as_ref().map(|folder| (folder.rest.as_str(), folder.is_sure));
            assert_eq!(found, expected, "{name}");
        }
    }
}
