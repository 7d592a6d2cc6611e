//! The Dockerfile, and the folder that its image contains.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::support::{read, root};
use crate::support::{Place, succeed};

#[test]
fn the_dockerfile_names_stages_and_files_that_exist() {
    let text = read("contrib/Dockerfile").replace("\\\n", " ");
    let ignored = read(".dockerignore");
    let mut stages = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FROM", base, "AS", name] => {
                let is_ours = stages.contains(base);
                assert!(is_ours || base.contains(':'), "{line}: a stage, or an image with its version");
                assert!(base.split('/').count() == 1, "{line}: no registry");
                stages.push(*name);
            }
            ["COPY", from, source, _] if from.starts_with("--from=") => {
                assert!(stages.contains(&&from["--from=".len()..]), "{line}");
                assert!(
                    text.contains(&format!("{source}\n")) || text.contains(&format!("{source} ")),
                    "{line}"
                );
            }
            ["COPY", sources @ .., _] => {
                for source in sources {
                    assert!(root(source).exists() && !ignored.lines().any(|line| line == *source), "{line}");
                }
            }
            ["RUN", ..] => {
                let is_script = |word: &&&str| Path::new(word).extension().is_some_and(|end| end == "sh");
                for word in words.iter().filter(is_script) {
                    assert!(root(word).metadata().unwrap().permissions().mode() & 0o111 != 0, "{word}");
                }
            }
            [other, ..] => {
                let known = ["ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"];
                assert!(known.contains(other), "{line}");
            }
            [] => {}
        }
    }
    assert_eq!(stages, ["builder", "builder-cuda", "runtime", "cuda", "cpu"]);
    assert!(text.contains("USER 10001:10001"), "the program does not run as root");
    assert_eq!(read("contrib/kubernetes/cronjob.yaml").matches(": 10001").count(), 3, "the same user");
}

#[test]
fn a_gathered_folder_trains_without_the_checkout() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 40);
    let (built, folder) = (place.path("built"), place.path("folder"));
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream"), &built).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_amdim-stream-main"), place.path("amdim-stream-main")).unwrap();
    succeed(Command::new(root("contrib/gather.sh")).arg(&built).arg(&folder));
    let alone = || {
        let mut command = Command::new(folder.join("amdim-stream"));
        command.env_clear().current_dir(&folder);
        command
    };
    let version = succeed(alone().arg("--version")).stdout;
    assert!(version.starts_with(concat!("amdim-stream ", env!("CARGO_PKG_VERSION"))), "{version}");
    let found = succeed(alone().args(["doctor", "--device", "cpu", "--out", "run"])).stdout;
    let libraries = fs::canonicalize(folder.join("libtorch/lib")).unwrap();
    assert!(found.contains(&format!("`{}`", libraries.display())), "the libtorch of the folder: {found}");
    let mut train = place.train(&pattern, "run", &["--steps", "2"]);
    let arguments: Vec<_> = train.get_args().map(ToOwned::to_owned).collect();
    train = alone();
    succeed(train.args(arguments));
    assert!(place.path("run/checkpoints/step-00000002/model.safetensors").exists());
}
