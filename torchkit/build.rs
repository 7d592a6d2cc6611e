//! Compiles the C++ half of this crate, and passes the folder of libtorch and the stand-ins for tests on to
//! the build scripts of crates that use it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let folder = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys sets the folder of libtorch");
    // `.libtorch` is a link inside the checkout; its target outlives the checkout.
    let folder = fs::canonicalize(&folder).expect("torch-sys found libtorch there");
    println!("cargo::metadata=libtorch={}", folder.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display()); // for this crate's tests
    compile_shim(&folder);
}

/// Compiles `cxx` against libtorch's headers, in the C++ dialect of libtorch's wheels.
fn compile_shim(libraries: &Path) {
    println!("cargo:rerun-if-changed=cxx");
    let headers = libraries.parent().expect("libtorch's libraries are in a folder of it").join("include");
    let mut compiler = cc::Build::new();
    compiler.cpp(true).std("c++17").flag("-isystem").flag(&headers); // no warnings about foreign headers
    compiler
        .clone()
        .files([
            "cxx/shim.cpp",
            "cxx/update.cpp",
            "cxx/profile.cpp",
            "cxx/products.cpp",
            "cxx/fused.cpp",
            "cxx/norms.cpp",
            "cxx/scores.cpp",
            "cxx/c10d/store.cpp",
            "cxx/c10d/backends.cpp",
            "cxx/c10d/group.cpp",
            "cxx/c10d/gradients.cpp",
            "cxx/c10d/reducer.cpp",
        ])
        .include("cxx/gloo")
        .flag("-isystem")
        .flag(headers.join("torch/csrc/api/include"))
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        .compile("amdim_shim");
    // torch-sys links with them too, but perhaps before the linker has seen that the shim needs them.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    // Only tests load them, by these names; libtorch is loaded by then.
    for name in ["fake_device", "fake_cuda", "reference_matmul", "reference_norm"] {
        let library = library(&compiler, name, &[name]).unwrap_or_else(|| panic!("{name} does not compile"));
        println!("cargo::metadata={name}={}", library.display());
        println!("cargo::rustc-env=TORCHKIT_{}={}", name.to_uppercase(), library.display());
    }
    // Embedded in the program, and loaded where there is CUDA.
    let cuda =
        cuda_headers(&headers).and_then(|cuda| cuda_library(compiler.flag("-isystem").flag(cuda), &headers));
    let cuda = cuda.unwrap_or_else(|| {
        println!("cargo:warning=built without CUDA graphs and fused products: no headers of CUDA 13.0 that fit libtorch");
        let none = out().join("none");
        fs::write(&none, []).expect("OUT_DIR can be written to");
        none
    });
    println!("cargo:rustc-env=TORCHKIT_CUDA={}", cuda.display());
}

/// Compiles the library for CUDA, with NCCL if its header fits.
fn cuda_library(compiler: &mut cc::Build, libtorch: &Path) -> Option<PathBuf> {
    let sources = ["graph", "cublas_lt", "cuda_norms", "nccl"];
    if let Some(nccl) = nccl_headers(libtorch) {
        let mut compiler = compiler.clone();
        compiler.flag("-isystem").flag(nccl).define("USE_C10D_NCCL", None);
        if let Some(made) = library(&compiler, "cuda", &sources) {
            return Some(made);
        }
        println!(
            "cargo:warning=built without NCCL, whose headers, or those of CUDA that it needs, do not fit libtorch"
        );
    }
    library(compiler, "cuda", &sources[..3])
}

/// Finds the header of NCCL, which comes with libtorch for CUDA, or with the toolkit.
fn nccl_headers(libtorch: &Path) -> Option<PathBuf> {
    let package = libtorch.join("../../nvidia/nccl/include");
    [package, cuda_toolkit().join("include")].into_iter().find(|folder| folder.join("nccl.h").exists())
}

/// Compiles source files to a library, if possible; the process that loads it provides libtorch.
fn library(compiler: &cc::Build, name: &str, sources: &[&str]) -> Option<PathBuf> {
    let made = out().join(format!("lib{name}.so"));
    let mut command = compiler.get_compiler().to_command();
    command.args(["-shared", "-fPIC", "-s"]).args(sources.iter().map(|source| format!("cxx/{source}.cpp")));
    command.arg("-o").arg(&made);
    command.status().is_ok_and(|status| status.success()).then_some(made)
}

/// Finds the headers of CUDA, in the packages beside libtorch's or in the toolkit.
fn cuda_headers(libtorch: &Path) -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let packages = libtorch.join("../../nvidia/cu13/include");
    let is_complete = |folder: &PathBuf| {
        ["cuda_runtime.h", "crt/host_config.h"].iter().all(|header| folder.join(header).exists())
    };
    [packages, cuda_toolkit().join("include")].into_iter().find(is_complete)
}

fn cuda_toolkit() -> PathBuf {
    env::var_os("CUDA_HOME").map_or_else(|| PathBuf::from("/usr/local/cuda"), PathBuf::from)
}

fn out() -> PathBuf {
    env::var_os("OUT_DIR").expect("cargo sets OUT_DIR").into()
}
