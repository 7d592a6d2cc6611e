//! Exports in PyTorch, ONNX and the reference implementation.

use std::{collections::BTreeMap, fs, path::Path};

use amdim_stream::encoder::amdim;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::support::{command, python, stored, trained};
use crate::support::{Entry, Place, jpeg, run, succeed};

#[test]
fn pytorch_and_onnx_compute_the_same_from_an_export() {
    let (place, _) = trained(&["--use-bn"]);
    for module in [false, true] {
        let file = format!("encoder-{module}.safetensors");
        let mut words = vec!["export", "--checkpoint", "run", "--out", &file];
        if module {
            words.extend(["--names", "reference"]);
        }
        succeed(&mut command(&place, &words));
        let path = place.path(&file);
        let config = amdim::Config { ndf: 4, n_rkhs: 16, n_depth: 1, use_bn: true };
        let vars = VarStore::new(Device::Cpu);
        let encoder = amdim::AmdimEncoder::new(&(vars.root() / "encoder"), 32, &config);
        let tensors: BTreeMap<_, _> = Tensor::read_safetensors(&path).unwrap().into_iter().collect();
        for (name, mut tensor) in vars.variables() {
            let name = if module { name.replace("encoder.", "encoder.module.") } else { name };
            tch::no_grad(|| tensor.copy_(&tensors[&name]));
        }
        let images = Tensor::randn([5, 3, 32, 32], (Kind::Float, Device::Cpu));
        let found = tch::no_grad(|| encoder.embed(&images, false));
        let expected = place.path("expected.safetensors");
        let named = [("images", images), ("r1", found.r1.flatten(1, 3)), ("r5", found.r5), ("r7", found.r7)];
        let named = named.map(|(name, tensor)| (name, tensor.contiguous()));
        Tensor::write_safetensors(&named, &expected).unwrap();
        let [path, expected, onnx] =
            [path, expected, place.path("encoder.onnx")].map(|path| path.to_str().unwrap().to_owned());
        python(&["features", &path, &expected]);
        python(&["onnx", &path, &expected, &onnx]);
    }
    fs::rename(place.path("encoder-false.safetensors"), place.path("encoder.safetensors")).unwrap();
    python(&["guide", place.path(".").to_str().unwrap()]);
}

/// Trains a run with labels and one without, and exports both under the reference's names in both formats.
fn exported_for_the_reference() -> Place {
    let place = Place::new();
    for (name, labelled) in [("train.tar", true), ("bare.tar", false)] {
        let entry = |number: usize| {
            let label = labelled.then(|| (number % 10).to_string());
            Entry { key: number.to_string(), image: jpeg(number), label }
        };
        place.write(name, (0..20).map(entry));
    }
    let sizes = [
        "--preset",
        "c10",
        "--ndf",
        "8",
        "--n-rkhs",
        "64",
        "--n-depth",
        "2",
        "--steps",
        "2",
        "--batch-size",
        "8",
    ];
    for (run, shards) in [("run", "train.tar"), ("bare", "bare.tar")] {
        succeed(command(&place, &sizes).args(["--device", "cpu", "--shards", shards, "--out", run]));
        for end in ["pth", "safetensors"] {
            let out = format!("{run}.{end}");
            succeed(&mut command(
                &place,
                &["export", "--checkpoint", run, "--out", &out, "--names", "reference"],
            ));
        }
    }
    place
}

#[test]
fn the_reference_implementation_loads_an_export() {
    let place = exported_for_the_reference();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/case_s32_bn0_d2");
    // For a run without labels, the classifiers of the reference's model are freshly initialized, always the same.
    for run in ["run", "bare"] {
        let file = place.path(&format!("{run}.pth"));
        python(&["reference", file.to_str().unwrap(), fixture.to_str().unwrap(), "2"]);
    }
    succeed(&mut command(&place, &["import", "run.pth", "--out", "again"]));
    succeed(&mut command(
        &place,
        &["export", "--checkpoint", "again", "--out", "again.safetensors", "--names", "reference"],
    ));
    assert_eq!(stored(&place.path("again.safetensors")), stored(&place.path("run.safetensors")));
    let said =
        run(&mut command(&place, &["export", "--checkpoint", "run", "--out", "x.pth", "--names", "own"]));
    assert!(said.code == Some(2) && said.stderr.contains("hint: add --names reference"), "{}", said.stderr);
}
