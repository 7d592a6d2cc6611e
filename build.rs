//! Tells the linker where libtorch lies, so that no program of this package needs `LD_LIBRARY_PATH`.

use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=.libtorch");
    let folder = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    // `.libtorch` is a link inside the checkout; what it points to outlives the checkout.
    let folder = fs::canonicalize(&folder).expect("torch-sys found libtorch there");
    // Beside the binary first: a binary that is carried to another machine can bring or find its libtorch there.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN:$ORIGIN/libtorch/lib:{}", folder.display());
}
