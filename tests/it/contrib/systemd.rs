//! The units of systemd.

use std::{fs, process::Command};

use super::support::{read, shell};
use crate::support::Place;

/// Returns the settings of a systemd unit: section, key and value.
fn unit(name: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in read(name).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix('[') {
            title.strip_suffix(']').unwrap().clone_into(&mut section);
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
            settings.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    settings
}

#[test]
fn the_systemd_units_are_valid_and_save_in_time() {
    let service = unit("contrib/systemd/amdim-stream.service");
    let value = |key: &str| {
        let found = service.iter().find(|(section, name, _)| section == "Service" && name == key);
        found.unwrap_or_else(|| panic!("no {key}")).2.as_str()
    };
    assert_eq!(
        (value("KillSignal"), value("KillMode"), value("TimeoutStopSec")),
        ("SIGTERM", "mixed", "10min")
    );
    let codes: Vec<_> = value("SuccessExitStatus").split(' ').collect();
    assert_eq!(codes, ["3", "4", "130"], "a gate that is not passed is a failure");
    assert!(value("ExecStart").contains(" --exit-code-unchanged "));
    let timer = unit("contrib/systemd/amdim-stream.timer");
    assert!(timer.contains(&("Timer".to_owned(), "Persistent".to_owned(), "true".to_owned())));
    assert!(timer.iter().any(|(section, key, _)| section == "Timer" && key == "OnCalendar"));

    let place = Place::new();
    let _ = shell(&place);
    for kind in ["service", "timer"] {
        let text = read(&format!("contrib/systemd/amdim-stream.{kind}"));
        let text = text.replace("/usr/local/bin", place.path("bin").to_str().unwrap());
        fs::write(place.path(&format!("amdim-stream.{kind}")), text).unwrap();
    }
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args(["service", "timer"].map(|kind| place.path(&format!("amdim-stream.{kind}"))));
    match verify.output() {
        Err(_) => {} // no systemd here
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let ours: Vec<_> = said.lines().filter(|line| line.contains("amdim-stream")).collect();
            assert!(ours.is_empty(), "{said}");
        }
    }
}
