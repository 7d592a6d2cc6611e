//! Stops the build if there is no libtorch.

#[path = "src/check.rs"]
mod check;

use std::{env, path::Path};

/// Variables by which the user tells torch-sys in another way where libtorch is.
const OTHERS: [&str; 2] = ["LIBTORCH_LIB", "LIBTORCH_USE_PYTORCH"];

/// `.cargo/config.toml` points LIBTORCH at the link that `make setup` makes, unless the user has set it.
fn main() {
    for name in OTHERS.into_iter().chain(["LIBTORCH"]) {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if OTHERS.into_iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    let folder = env::var_os("LIBTORCH").unwrap_or_default();
    let folder = Path::new(&folder);
    println!("cargo::rerun-if-changed={}", folder.join(check::HEADER).display());
    if let Err(error) = check::check(folder) {
        println!("cargo::error={error}");
    }
}
