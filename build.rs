//! Compiles the C++ half of `sys`, and tells the linker where libtorch lies, so that no program of this package needs
//! `LD_LIBRARY_PATH`.

use std::{env, fs, path::Path};

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
    compiler.clone().file("src/sys/cxx/shim.cpp").compile("amdim_shim");
    // torch-sys links with them too, but perhaps before the shim is seen to need them.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    // Tests alone load it, by this name; what it needs of libtorch is there by then.
    let fake_device =
        Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("libfake_device.so");
    let mut command = compiler.get_compiler().to_command();
    command.args(["-shared", "-fPIC", "src/sys/cxx/fake_device.cpp", "-o"]).arg(&fake_device);
    assert!(command.status().is_ok_and(|status| status.success()), "`{command:?}` failed");
    println!("cargo:rustc-env=AMDIM_FAKE_DEVICE={}", fake_device.display());
}
