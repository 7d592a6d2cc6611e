//! Compiles `decode/libjpeg.c` against the libjpeg-turbo that `turbojpeg-sys` builds.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/decode/libjpeg.c");
    let headers = env::var("DEP_TURBOJPEG_INCLUDE").expect("turbojpeg-sys sets the folder of its headers");
    let mut compiler = cc::Build::new();
    compiler.includes(headers.split(',')).file("src/decode/libjpeg.c").compile("amdim_jpeg");
}
