//! Tells the linker where libtorch lies, so that no program of this package needs `LD_LIBRARY_PATH`, and
//! tests where the stand-ins of `torchkit` for devices are.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=.libtorch");
    let of_torchkit =
        |name| env::var(format!("DEP_TORCHKIT_{name}")).expect("the build script of torchkit says it");
    // Beside the binary first: a binary that is carried to another machine can bring or find its libtorch there.
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN:$ORIGIN/libtorch/lib:{}", of_torchkit("LIBTORCH"));
    for name in ["FAKE_DEVICE", "FAKE_CUDA"] {
        println!("cargo::rustc-env=AMDIM_{name}={}", of_torchkit(name));
    }
}
