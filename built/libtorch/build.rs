//! Stops the build if there is no libtorch.

use std::{env, path::Path};

/// Variables by which the user names another libtorch.
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
    let header = Path::new(&folder).join("include/torch/csrc/api/include/torch/torch.h");
    println!("cargo::rerun-if-changed={}", header.display());
    if !header.exists() {
        let place = Path::new(&folder).display();
        println!(
            "cargo::error=there is no libtorch in `{place}`: run `make setup` once, which fetches it, or let LIBTORCH name the \
             folder of your own (libtorch 2.11, with lib/ and include/)"
        );
    }
}
