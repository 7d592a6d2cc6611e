//! Tells the linker where libtorch lies, as the program's own build script does.

fn main() {
    let folder = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let folder = std::fs::canonicalize(folder).expect("torch-sys found libtorch there");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
