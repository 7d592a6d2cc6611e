//! The cost of each operation on a view of 224×224 pixels, beside Pillow, pillow-simd and `OpenCV`.
//!
//! `cargo bench -p pipeline --bench operations`
//!
//! `AMDIM_STREAM_PEERS` lists Python interpreters, separated by colons, whose libraries take part; by default
//! it is `python3`. Ours and theirs take turns, and the fastest round counts.

use std::{collections::BTreeMap, env, io::Write, process};

use pipeline::{Components, Crop, Curve, Edit, Editor, Filter, Rgb, Window, edit};

use common::{Table, once};

mod common;
mod photos;

const ROUNDS: usize = 9;
const REPEATS: usize = 40;
/// A crop of a photo of 500×375 pixels, with the mean area of MoCo's crops.
const CROP: Crop = Crop { top: 20, left: 90, height: 335, width: 335 };
const SIDE: u32 = 224;
const PLANES: &str = "to planes and back (in crops, left out elsewhere)";

/// Microseconds of each operation, by its name in `operations.py`.
type Times = BTreeMap<String, f64>;

fn main() {
    let photo = photos::photo(500, 375, 1);
    let view = edit(&photo, &[crop(Filter::Bilinear)]);
    let operations = operations();
    let named = env::var("AMDIM_STREAM_PEERS").unwrap_or_else(|_| "python3".to_owned());
    let mut ours = Times::new();
    let mut peers: BTreeMap<String, Times> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, edits) in &operations {
            let image = if name.starts_with("crop") { &photo } else { &view };
            lower(&mut ours, name, time(image, edits));
        }
        for python in named.split(':') {
            for (library, times) in measure(python, &photo, &view) {
                let best = peers.entry(library).or_default();
                for (name, time) in &times {
                    lower(best, name, *time);
                }
            }
        }
    }
    let mut table = Table::new("operations: a view of 224×224 pixels, CPU time on one thread");
    for (name, _) in &operations {
        // Within a view, the pixels are in planes already.
        let is_in_planes = !name.starts_with("crop") && *name != PLANES;
        let own = ours[*name] - if is_in_planes { ours[PLANES] } else { 0.0 };
        table.row(name, own, "µs");
        for (library, times) in &peers {
            if let Some(time) = times.get(*name) {
                table.row(&format!("    {library} relative to ours"), time / own, "×");
            }
        }
    }
    if peers.is_empty() {
        table.row("    libraries found by AMDIM_STREAM_PEERS", 0.0, "");
    }
}

fn crop(filter: Filter) -> Edit {
    Edit::ResizedCrop { crop: CROP, width: SIDE, height: SIDE, filter }
}

/// Returns the operations with the names that `operations.py` uses.
fn operations() -> Vec<(&'static str, Vec<Edit>)> {
    let jitter = vec![Edit::Brightness(1.2), Edit::Contrast(0.8), Edit::Saturation(1.3), Edit::Hue(0.07)];
    let window = Window { x: 115.0, y: 108.0, scale: 1.1, degrees: 12.0, width: SIDE, height: SIDE };
    let curve = Curve { power: 1.7, factor: 1.1, shift: 0.05 };
    let factors = [0.7, 1.3, 1.8];
    vec![
        (PLANES, vec![]),
        ("crop of 335×335, bicubic", vec![crop(Filter::Bicubic)]),
        ("crop of 335×335, bilinear", vec![crop(Filter::Bilinear)]),
        ("crop of 335×335, bilinear, and flip", vec![crop(Filter::Bilinear), Edit::Flip]),
        ("colour jitter", jitter),
        ("grayscale", vec![Edit::Grayscale]),
        ("flip", vec![Edit::Flip]),
        ("Gaussian blur, sigma 0.5", vec![Edit::Blur(0.5)]),
        ("Gaussian blur, sigma 1", vec![Edit::Blur(1.0)]),
        ("Gaussian blur, sigma 2", vec![Edit::Blur(2.0)]),
        ("solarize", vec![Edit::Solarize(128)]),
        ("affine", vec![Edit::Sample(window)]),
        ("PCA contrast", vec![Edit::PcaContrast { factors, colours: Components::default() }]),
        ("HSV contrast", vec![Edit::HsvContrast { saturation: curve, value: curve, hue: 0.05 }]),
        ("seed patch", vec![Edit::SeedPatch { seed: 200, place: 0.6, window }]),
    ]
}

/// Returns the microseconds of applying edits.
fn time(image: &Rgb, edits: &[Edit]) -> f64 {
    let mut editor = Editor::default();
    let mut edited = Rgb::default();
    editor.edit(image, edits, &mut edited);
    once(|| (0..REPEATS).for_each(|_| editor.edit(image, edits, &mut edited))).thread_s / REPEATS as f64 * 1e6
}

fn lower(times: &mut Times, name: &str, time: f64) {
    let best = times.entry(name.to_owned()).or_insert(f64::INFINITY);
    *best = best.min(time);
}

/// Returns the times of the libraries of a Python interpreter; none if it does not run or has none.
fn measure(python: &str, photo: &Rgb, view: &Rgb) -> BTreeMap<String, Times> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/operations.py");
    let mut command = process::Command::new(python);
    command.arg(script).stdin(process::Stdio::piped()).stdout(process::Stdio::piped());
    let Ok(mut child) = command.spawn() else { return BTreeMap::new() };
    if let Some(mut input) = child.stdin.take() {
        // A script that ends early has nothing to say.
        drop(input.write_all(&photo.pixels).and_then(|()| input.write_all(&view.pixels)));
    }
    let output = child.wait_with_output().map(|output| output.stdout).unwrap_or_default();
    serde_json::from_slice(&output).unwrap_or_default()
}
