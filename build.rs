//! Compiles the C++ half of `sys`, and tells the linker where libtorch lies, so that no program of this package needs
//! `LD_LIBRARY_PATH`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=.libtorch");
    let folder = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    // `.libtorch` is a link inside the checkout; what it points to outlives the checkout.
    let folder = fs::canonicalize(&folder).expect("torch-sys found libtorch there");
    // Beside the binary first: a binary that is carried to another machine can bring or find its libtorch there.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN:$ORIGIN/libtorch/lib:{}", folder.display());
    compile_shim(&folder);
}

/// `src/sys/cxx` against libtorch's headers, in the dialect that libtorch's wheels are built in.
fn compile_shim(libraries: &Path) {
    println!("cargo:rerun-if-changed=src/sys/cxx");
    let headers = libraries.parent().expect("libraries lie in a folder of libtorch").join("include");
    let mut compiler = cc::Build::new();
    compiler.cpp(true).std("c++17").flag("-isystem").flag(&headers); // not ours to be warned of
    compiler.clone().files(["src/sys/cxx/shim.cpp", "src/sys/cxx/profile.cpp"]).compile("amdim_shim");
    // torch-sys links with them too, but perhaps before the shim is seen to need them.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    // Tests alone load them, by these names; what they need of libtorch is there by then.
    for name in ["fake_device", "fake_cuda"] {
        let library = library(&compiler, name).unwrap_or_else(|| panic!("{name} does not compile"));
        println!("cargo:rustc-env=AMDIM_{}={}", name.to_uppercase(), library.display());
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
    println!("cargo:rustc-env=AMDIM_GRAPH_LIBRARY={}", graph.display());
}

/// A library of one source file, if it compiles, which leaves libtorch to be found by whoever loads it.
fn library(compiler: &cc::Build, name: &str) -> Option<PathBuf> {
    let made = out().join(format!("lib{name}.so"));
    let mut command = compiler.get_compiler().to_command();
    command.args(["-shared", "-fPIC", "-s", &format!("src/sys/cxx/{name}.cpp"), "-o"]).arg(&made);
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
