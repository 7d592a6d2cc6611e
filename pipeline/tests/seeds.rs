//! Runs the function of the fuzz target `decode` on its seeds.

use std::{fs, path::Path};

#[path = "../fuzz/src/whole.rs"]
#[allow(unreachable_pub, reason = "the module belongs to another crate")]
#[allow(clippy::allow_attributes, reason = "not every compiler warns about all of them")]
mod whole;

#[test]
fn images_of_any_bytes_do_not_panic_and_earlier_images_have_no_influence() {
    let mut seeds = 0;
    for folder in ["fuzz/seeds/decode", "fuzz/seeds/jpeg_differential", "tests/data/formats"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                whole::decode(&fs::read(path).unwrap());
                seeds += 1;
            }
        }
    }
    assert!(seeds > 40, "{seeds}");
}
