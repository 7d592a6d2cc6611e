//! Sets `AMDIM_COMMIT` to the commit of the sources.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rustc-env=AMDIM_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
}

fn commit() -> Option<String> {
    // Git appends a line to this file for each commit and each checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    let log = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join(log);
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
