//! Compiles the C++ half of this crate, and tells the build scripts of crates that use it where libtorch and the stand-ins for
//! tests lie.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let folder = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    // `.libtorch` is a link inside the checkout; what it points to outlives the checkout.
    let folder = fs::canonicalize(&folder).expect("torch-sys found libtorch there");
    println!("cargo::metadata=libtorch={}", folder.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display()); // of this crate's tests
    compile_shim(&folder);
}

/// `cxx` against libtorch's headers, in the dialect that libtorch's wheels are built in.
fn compile_shim(libraries: &Path) {
    println!("cargo:rerun-if-changed=cxx");
    let headers = libraries.parent().expect("libraries lie in a folder of libtorch").join("include");
    let mut compiler = cc::Build::new();
    compiler.cpp(true).std("c++17").flag("-isystem").flag(&headers); // not ours to be warned of
    compiler.clone().files(["cxx/shim.cpp", "cxx/profile.cpp"]).compile("amdim_shim");
    // torch-sys links with them too, but perhaps before the shim is seen to need them.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    // Tests alone load them, by these names; what they need of libtorch is there by then.
    for name in ["fake_device", "fake_cuda"] {
        let library = library(&compiler, name).unwrap_or_else(|| panic!("{name} does not compile"));
        println!("cargo::metadata={name}={}", library.display());
    }
    // Travels inside of the program, and is loaded where there is CUDA.
    let graph = if let Some(cuda) = cuda_headers(&headers) {
        library(compiler.flag("-isystem").flag(cuda), "graph")
    } else {
        None
    };
    let graph = graph.unwrap_or_else(|| {
        println!("cargo:warning=built without CUDA graphs: no headers of CUDA 13.0 that fit libtorch");
        let none = out().join("none");
        fs::write(&none, []).expect("OUT_DIR can be written to");
        none
    });
    println!("cargo:rustc-env=TORCHKIT_GRAPH={}", graph.display());
}

/// A library of one source file, if it compiles, which leaves libtorch to be found by whoever loads it.
fn library(compiler: &cc::Build, name: &str) -> Option<PathBuf> {
    let made = out().join(format!("lib{name}.so"));
    let mut command = compiler.get_compiler().to_command();
    command.args(["-shared", "-fPIC", "-s", &format!("cxx/{name}.cpp"), "-o"]).arg(&made);
    command.status().is_ok_and(|status| status.success()).then_some(made)
}

/// The headers of CUDA: those of packages beside libtorch's, or of the toolkit.
fn cuda_headers(libtorch: &Path) -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let toolkit = env::var_os("CUDA_HOME").map_or_else(|| PathBuf::from("/usr/local/cuda"), PathBuf::from);
    let packages = libtorch.join("../../nvidia/cu13/include");
    let is_complete = |folder: &PathBuf| {
        ["cuda_runtime.h", "crt/host_config.h"].iter().all(|header| folder.join(header).exists())
    };
    [packages, toolkit.join("include")].into_iter().find(is_complete)
}

fn out() -> PathBuf {
    env::var_os("OUT_DIR").expect("cargo sets OUT_DIR").into()
}
