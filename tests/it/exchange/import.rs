//! Imports of exports and of checkpoints of the reference implementation.

use std::{collections::HashMap, fs};

use amdim_stream::exchange::{export::METADATA, import};
use safetensors::SafeTensors;
use serde_json::Value;

use super::support::{command, python, stored, trained};
use crate::support::{run, succeed};

#[test]
fn an_export_is_imported_to_the_bit() {
    let (place, pattern) = trained(&[]);
    let of = |run: &str, file: &str, more: &[&str]| {
        let mut words = vec!["export", "--checkpoint", run, "--out", file];
        words.extend(more);
        succeed(&mut command(&place, &words));
        stored(&place.path(file))
    };
    let whole = of("run", "whole.safetensors", &["--names", "reference"]);
    succeed(&mut command(&place, &["import", "whole.safetensors", "--out", "again"]));
    assert_eq!(of("again", "again.safetensors", &["--names", "reference"]), whole);
    let refused = |out: &str, why: &str| {
        let said = run(&mut command(&place, &["export", "--checkpoint", "run", "--out", out]));
        assert!(said.code == Some(2) && said.stderr.contains(why), "{out}: {}", said.stderr);
    };
    refused("whole.safetensors", "--force");
    refused("encoder.bin", "name a file that ends in");
    refused("encoder", "name a file that ends in");
    assert_eq!(of("run", "whole.safetensors", &["--names", "reference", "--force"]), whole);
    let encoder = of("run", "encoder.safetensors", &[]);
    assert!(encoder.keys().all(|name| name.starts_with("encoder.")) && encoder.len() < whole.len());
    succeed(&mut command(&place, &["import", "encoder.safetensors", "--out", "encoder"]));
    assert_eq!(of("encoder", "encoder-again.safetensors", &[]), encoder);
    let embed = |run: &str| {
        let words = [
            "embed",
            "--checkpoint",
            run,
            "--out",
            &format!("e-{run}"),
            "--format",
            "npy",
            "--device",
            "cpu",
            "--shards",
            &pattern,
        ];
        succeed(&mut command(&place, &words));
        fs::read(place.path(&format!("e-{run}/00001-train-001.npy"))).unwrap()
    };
    assert!(embed("run") == embed("again") && embed("run") == embed("encoder"));
    let said = run(&mut command(&place, &["import", "encoder.safetensors", "--out", "encoder"]));
    assert!(said.code == Some(2) && said.stderr.contains("is already a run"), "{}", said.stderr);
    let said = run(&mut command(&place, &["import", "encoder.safetensors", "--out", "."]));
    assert!(said.code == Some(2) && said.stderr.contains("neither new nor empty"), "{}", said.stderr);
}

#[test]
fn a_warm_start_begins_with_the_imported_encoder() {
    let (place, pattern) = trained(&[]);
    succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", "encoder.safetensors"]));
    succeed(&mut command(&place, &["import", "encoder.safetensors", "--out", "imported"]));
    // With the lowest learning rate, one step changes the weights by less than the bound below.
    let more = ["--warm-start", "imported", "--steps", "1", "--lr", "1e-12", "--seed", "5"];
    succeed(place.train(&pattern, "warm", &more).current_dir(place.path(".")));
    succeed(&mut command(&place, &["export", "--checkpoint", "warm", "--out", "warm.safetensors"]));
    let [begun, ended] = ["encoder.safetensors", "warm.safetensors"].map(|file| stored(&place.path(file)));
    let weights = |name: &&String| name.ends_with("conv1.weight");
    assert!(begun.keys().filter(weights).count() > 3);
    let values = |(_, bytes): &(Vec<usize>, Vec<u8>)| -> Vec<f32> {
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    for name in begun.keys().filter(weights) {
        let pairs = values(&begun[name]).into_iter().zip(values(&ended[name]));
        assert!(pairs.into_iter().all(|(begun, ended)| (begun - ended).abs() < 1e-8), "{name}");
    }
    let words =
        ["--warm-start", "imported", "--preset", "c10", "--ndf", "4", "--n-rkhs", "32", "--out", "wide"];
    let said = run(command(&place, &words).args(["--device", "cpu", "--shards", &pattern]));
    assert!(said.code == Some(1) && said.stderr.contains("--n-rkhs 16"), "{}", said.stderr);
}

#[test]
fn checkpoints_of_the_reference_are_imported_and_foreign_code_is_not_run() {
    let (place, _) = trained(&[]);
    succeed(&mut command(
        &place,
        &["export", "--checkpoint", "run", "--out", "whole.safetensors", "--names", "reference"],
    ));
    python(&["pth", place.path("whole.safetensors").to_str().unwrap(), place.path(".").to_str().unwrap()]);
    for name in ["new", "old", "strided"] {
        succeed(&mut command(&place, &["import", &format!("{name}.pth"), "--out", name]));
        let again = format!("{name}.safetensors");
        succeed(&mut command(
            &place,
            &["export", "--checkpoint", name, "--out", &again, "--names", "reference"],
        ));
        assert_eq!(stored(&place.path(&again)), stored(&place.path("whole.safetensors")), "{name}");
    }
    fs::write(place.path("text.pth"), "no pickle at all").unwrap();
    fs::write(place.path("cut.pth"), &fs::read(place.path("old.pth")).unwrap()[..5000]).unwrap();
    let refused = [
        ("evil.pth", "posix.system"),
        ("evil-old.pth", "posix.system"),
        ("evil.pkl", "posix.system"),
        ("other.pth", "no `model`"),
        ("text.pth", "neither a safetensors file nor a file of `torch.save`"),
        ("cut.pth", "ends early"),
        ("missing.pth", "cannot read"),
    ];
    for (file, why) in refused {
        let said = run(&mut command(&place, &["import", file, "--out", "refused"]));
        assert!(said.code != Some(0) && said.stderr.contains(why), "{file}: {}", said.stderr);
        assert!(!place.path("refused").exists() && !place.path("executed").exists(), "{file}");
    }
}

#[test]
fn every_form_that_the_references_loader_accepts_is_imported() {
    let (place, _) = trained(&["--tclip", "11.5"]);
    let export = ["export", "--checkpoint", "run", "--out", "whole.safetensors", "--names", "reference"];
    succeed(&mut command(&place, &export));
    let names = python(&[
        "forms",
        place.path("whole.safetensors").to_str().unwrap(),
        place.path(".").to_str().unwrap(),
    ]);
    let model = |file: &str| {
        import::open(&place.path(file)).unwrap_or_else(|error| panic!("{file}: {error:#}")).tensors()
    };
    let whole = model("whole.safetensors");
    assert!(names.lines().count() > 25, "{names}");
    for name in names.lines() {
        let found = model(&format!("{name}.pth"));
        let differs = |name: &str| !found[name].equal(&whole[name]);
        let counts = |name: &str| name.ends_with("num_batches_tracked");
        let other: Vec<_> = whole
            .keys()
            .filter(|tensor| differs(tensor) && !(name == "uncounted" && counts(tensor)))
            .collect();
        assert!(other.is_empty(), "{name}: {other:?}");
    }
    for (number, file) in
        ["whole.safetensors", "protocol-2-False.pth", "int64-0.pth", "float32.pth"].iter().enumerate()
    {
        let out = format!("import-{number}");
        succeed(&mut command(&place, &["import", file, "--out", &out]));
        let config = fs::read_to_string(place.path(&out).join("config.toml")).unwrap();
        assert!(config.contains("tclip = 11.5"), "{file}: {config}");
    }
}

#[test]
fn an_export_of_an_early_version_without_the_settings_of_its_method_is_imported() {
    let (place, _) = trained(&["--tclip", "11.5"]);
    succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", "encoder.safetensors"]));
    let bytes = fs::read(place.path("encoder.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    let mut description: Value = serde_json::from_str(&metadata[METADATA]).unwrap();
    description.as_object_mut().unwrap().remove("method_settings").unwrap();
    metadata.insert(METADATA.to_owned(), description.to_string());
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let early = safetensors::serialize(tensors, Some(metadata)).unwrap();
    fs::write(place.path("early.safetensors"), early).unwrap();
    succeed(&mut command(&place, &["import", "early.safetensors", "--out", "again"]));
    let config = fs::read_to_string(place.path("again/config.toml")).unwrap();
    assert!(config.contains("tclip = 11.5"), "{config}");
}

type Views<'a> = Vec<(String, safetensors::tensor::TensorView<'a>)>;

#[test]
fn a_tensor_that_is_missing_or_misshapen_is_named() {
    const NAME: &str = "encoder.layer_list.0.conv.weight";
    let (place, _) = trained(&[]);
    succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", "whole.safetensors"]));
    let bytes = fs::read(place.path("whole.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let rewrite = |metadata: &HashMap<String, String>, change: &dyn Fn(&mut Views<'_>)| {
        let mut tensors = file.tensors();
        change(&mut tensors);
        let changed = safetensors::serialize(tensors, Some(metadata.clone())).unwrap();
        fs::write(place.path("changed.safetensors"), changed).unwrap();
        let said = run(&mut command(&place, &["import", "changed.safetensors", "--out", "refused"]));
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        said.stderr
    };
    let said = rewrite(&metadata, &|tensors| tensors.retain(|(name, _)| name != NAME));
    assert!(said.contains(NAME) && said.contains("missing"), "{said}");
    let said = rewrite(&metadata, &|tensors| {
        let other = tensors.iter().find(|(name, _)| name.ends_with("conv.bias")).unwrap().1.clone();
        tensors.iter_mut().find(|(name, _)| name == NAME).unwrap().1 = other;
    });
    assert!(said.contains(NAME) && said.contains("has shape [4] instead of [4, 3, 3, 3]"), "{said}");
    let said = rewrite(&metadata, &|tensors| {
        let surplus = ("encoder.surplus".to_owned(), tensors[0].1.clone());
        tensors.push(surplus);
    });
    assert!(said.contains("`encoder.surplus` is not a tensor of this encoder"), "{said}");
    let bare: HashMap<_, _> = metadata.into_iter().filter(|(name, _)| name != METADATA).collect();
    let said = rewrite(&bare, &|_| ());
    assert!(said.contains("was not written by `amdim-stream export`"), "{said}");
}
