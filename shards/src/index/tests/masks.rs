//! Masks in a folder of their own.

use super::*;

/// Returns the number of masks that are noted, and the first one.
fn masks(names: &[&str]) -> Option<(u64, String)> {
    let members: Vec<_> =
        names.iter().map(|name| (*name, if name.ends_with("cls") { &b"1"[..] } else { b"x" })).collect();
    let images = names.iter().filter(|name| !name.ends_with("cls")).count();
    assert_eq!(samples(&tar(&members)).len(), images, "each stays a sample: {names:?}");
    let remarks = remarks(&tar(&members)).into_iter();
    remarks
        .filter(|(kind, ..)| *kind == RemarkKind::MaskFolder)
        .map(|(_, count, first)| (count, first))
        .next()
}

#[test]
fn masks_in_a_folder_beside_the_images_of_public_datasets_are_noted() {
    for (names, count, first) in [
        // Oxford-IIIT Pets
        (
            &["images/Abyssinian_1.jpg", "annotations/trimaps/Abyssinian_1.png"][..],
            1,
            "annotations/trimaps/Abyssinian_1",
        ),
        // Pascal VOC, where not every image has a mask
        (
            &[
                "VOC2012/JPEGImages/2007_000032.jpg",
                "VOC2012/JPEGImages/2007_000033.jpg",
                "VOC2012/SegmentationClass/2007_000032.png",
                "VOC2012/SegmentationObject/2007_000032.png",
            ],
            2,
            "VOC2012/SegmentationClass/2007_000032",
        ),
        // ADE20K, masks first
        (&["ade/annotations/training/1.png", "ade/images/training/1.jpg"], 1, "ade/annotations/training/1"),
        // COCO-Stuff
        (
            &["train2017/9.jpg", "train2017/10.jpg", "stuffthingmaps/train2017/9.png"],
            1,
            "stuffthingmaps/train2017/9",
        ),
        // Cityscapes
        (
            &["leftImg8bit/train/a/a_1_leftImg8bit.png", "gtFine/train/a/a_1_gtFine_labelIds.png"],
            1,
            "gtFine/train/a/a_1_gtFine_labelIds",
        ),
        // CamVid
        (&["train/1.png", "trainannot/1.png", "val/2.png", "valannot/2.png"], 2, "trainannot/1"),
        // DUTS
        (&["DUTS-TR/DUTS-TR-Image/a.jpg", "DUTS-TR/DUTS-TR-Mask/a.png"], 1, "DUTS-TR/DUTS-TR-Mask/a"),
        // Kvasir-SEG, whose masks are JPEGs
        (&["images/a.jpg", "masks/a.jpg"], 1, "masks/a"),
        // Data Science Bowl 2018: several masks for each image
        (&["s/i/images/i.png", "s/i/masks/1.png", "s/i/masks/2.png"], 2, "s/i/masks/1"),
        // Beside the images themselves
        (&["scene/a.jpg", "scene/b.jpg", "scene/masks/a.png", "scene/masks/b.png"], 2, "scene/masks/a"),
    ] {
        assert_eq!(masks(names), Some((count, first.to_owned())), "{names:?}");
    }
}

#[test]
fn classes_with_the_same_names_are_not_masks() {
    for names in [
        &["cats/1.jpg", "dogs/1.jpg"][..],
        &["cats/1.jpg", "dogs/1.png"],
        &["images/cats/1.jpg", "images/dogs/1.png"],
        &["n01440764/1.JPEG", "n02085620/1.png"],
        // People with and without one
        &["mask/1.png", "no_mask/1.jpg"],
        &["with_mask/1.png", "without_mask/1.jpg"],
        &["images/with_mask/1.png", "images/without_mask/1.jpg"],
        &["face/1.jpg", "face_mask/1.png"],
        // Clothes, collected from the web
        &["hats/1.jpg", "hats/2.jpg", "masks/1.png", "masks/2.jpg"],
        &["hats/1.jpg", "masks/1.png", "masks/2.png"],
        &["hats/1.png", "masks/1.png"],
        // With labels, as `pack` writes them
        &["hats/1.jpg", "hats/1.cls", "masks/1.png", "masks/1.cls"],
        &["images/1.jpg", "images/1.cls", "masks/1.png", "masks/1.cls"],
        // Without images beside them
        &["masks/1.png", "masks/2.png"],
        &["1.png", "2.jpg"],
    ] {
        assert_eq!(masks(names), None, "{names:?}");
    }
}
