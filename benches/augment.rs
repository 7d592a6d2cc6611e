//! The cost of each operation on a view of 128×128 pixels.
//!
//! `cargo bench -p pipeline --bench augment`

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use pipeline::{Augmenter, Crop, Edit, Editor, Filter, Preset, Rgb, SampleSeed, edit};

use common::{Table, measure};

mod common;
mod photos;

const REPEATS: u64 = 100;
/// A crop of a photo of 500×375 pixels, with the mean area of the recipe's crops.
const CROP: Crop = Crop { top: 20, left: 90, height: 312, width: 312 };

fn main() {
    let photo = photos::photo(500, 375, 1);
    let mut table = Table::new("augment: CPU time on one thread");
    resizing(&mut table, &photo);
    colours(&mut table, &photo);
    let recipe = Preset::In128.recipe();
    let mut views = vec![0; recipe.bytes()];
    let mut augmenter = Augmenter::new(recipe);
    row(&mut table, "both views of a photo by the recipe `in128`", |index| {
        let seed = SampleSeed { seed: 1, epoch: 0, index };
        augmenter.render(&photo, seed, &mut views).expect("a photo can be cropped");
    });
}

fn row(table: &mut Table, name: &str, mut work: impl FnMut(u64)) {
    let time = measure(9, || (0..REPEATS).for_each(&mut work));
    table.row(name, time.thread_s / REPEATS as f64 * 1e6, "µs");
}

fn resizing(table: &mut Table, photo: &Rgb) {
    let mut resizer = Resizer::new();
    row(table, "crop of 312×312 to 128×128: fast_image_resize", |_| fast(&mut resizer, photo, true));
    row(table, "… in two passes, horizontal first", |_| fast(&mut resizer, photo, false));
    let resized = Edit::ResizedCrop { crop: CROP, width: 128, height: 128, filter: Filter::Bicubic };
    let mut editor = Editor::default();
    let mut view = Rgb::default();
    row(table, "… ours, as Pillow to the bit", |_| editor.edit(photo, &[resized], &mut view));
}

fn colours(table: &mut Table, photo: &Rgb) {
    let view =
        edit(photo, &[Edit::ResizedCrop { crop: CROP, width: 128, height: 128, filter: Filter::Bicubic }]);
    let jitter = [Edit::Brightness(1.2), Edit::Contrast(0.8), Edit::Saturation(1.3), Edit::Hue(0.07)];
    let mut editor = Editor::default();
    let mut edited = Rgb::default();
    for (name, edits) in [
        ("to planes and back (in all of the following)", &jitter[..0]),
        ("brightness", &jitter[..1]),
        ("contrast", &jitter[1..2]),
        ("saturation", &jitter[2..3]),
        ("hue", &jitter[3..]),
        ("all four", &jitter),
        ("grayscale", &[Edit::Grayscale]),
        ("flip", &[Edit::Flip]),
    ] {
        row(table, &format!("128×128: {name}"), |_| editor.edit(&view, edits, &mut edited));
    }
}

/// Resizes [`CROP`] with `fast_image_resize`, in one call or one axis after the other in Pillow's order.
fn fast(resizer: &mut Resizer, photo: &Rgb, in_one_call: bool) {
    let cubic = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let [left, top, width, height] = [CROP.left, CROP.top, CROP.width, CROP.height].map(f64::from);
    let source =
        ImageRef::new(photo.width, photo.height, &photo.pixels, PixelType::U8x3).expect("whole pixels");
    let mut view = Image::new(128, 128, PixelType::U8x3);
    let crop = cubic.crop(left, top, width, height);
    if in_one_call {
        resizer.resize(&source, &mut view, &crop).expect("the crop is inside");
    } else {
        let mut narrow = Image::new(128, CROP.height, PixelType::U8x3);
        resizer.resize(&source, &mut narrow, &crop).expect("the crop is inside");
        resizer.resize(&narrow, &mut view, &cubic).expect("it has the same width");
    }
    std::hint::black_box(view);
}
