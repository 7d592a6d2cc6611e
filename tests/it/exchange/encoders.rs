//! Exports of encoders that no other program has, and their import with the settings of their method.

use std::fs;

use amdim_stream::{encoder::Mode, exchange::import};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::support::{command, python, stored};
use crate::support::{Place, json, run, succeed};

/// Trains a step with these settings, in `run`. Exports the model with its heads to `whole.safetensors`.
fn exported(settings: &str) -> Place {
    let place = Place::new();
    let pattern = place.shards("train", 1, 8);
    let file = format!("preset = 'c10'\n{settings}\n[train]\nprecision = 'f32'\nbatch_size = 4\nsteps = 1\n");
    fs::write(place.path("run.toml"), file).unwrap();
    let words = ["--config", "run.toml", "--device", "cpu", "--shards", &pattern, "--out", "run"];
    succeed(&mut command(&place, &words));
    export(&place, "run", &["--with-probes", "--out", "whole.safetensors"]);
    place
}

fn export(place: &Place, run: &str, more: &[&str]) {
    succeed(command(place, &["export", "--checkpoint", run]).args(more));
}

#[test]
fn pytorch_and_onnx_compute_the_same_from_the_encoders_of_cpc_and_exemplar_cnn() {
    for (settings, side, last) in [
        ("method.name = 'cpc'\nencoder.width = 4\nencoder.stages = [1, 2, 1]", 32, "z"),
        (
            "method.name = 'simclr'\nside = 48\n\
             [encoder]\nname = 'cpc'\nwidth = 4\nstages = [1, 1, 1]\nbottleneck = true\npatch = 20",
            48,
            "z",
        ),
        ("method.name = 'exemplar'\nencoder.widths = [4, 6, 8, 10]", 32, "last_conv"),
        ("method.name = 'simclr'\nside = 45\n[encoder]\nname = 'exemplar'\nwidths = [4, 6]", 45, "last_conv"),
    ] {
        let place = exported(settings);
        export(&place, "run", &["--out", "plain.safetensors"]);
        let images = Tensor::randn([3, 3, side, side], (Kind::Float, Device::Cpu));
        let network = import::open(&place.path("plain.safetensors")).unwrap();
        let pooled = tch::no_grad(|| network.encoder().pooled(&images, last));
        let r1 = tch::no_grad(|| network.encoder().features(&images, Mode::Evaluation));
        let named = [("images", images), ("r1", r1), ("last", pooled)];
        Tensor::write_safetensors(&named, place.path("expected.safetensors")).unwrap();
        let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
        python(&["features", &path("whole.safetensors"), &path("expected.safetensors")]);
        if settings.contains("simclr") {
            python(&[
                "onnx",
                &path("plain.safetensors"),
                &path("expected.safetensors"),
                &path("encoder.onnx"),
            ]);
        }
        let said = run(&mut command(&place, &["export", "--checkpoint", "run", "--out", "encoder.pth"]));
        let hint = "hint: name a .safetensors file";
        assert!(said.code == Some(2) && said.stderr.contains(hint), "{}", said.stderr);
    }
}

#[test]
fn an_export_is_imported_with_the_settings_of_its_method_and_its_normalization() {
    let resnet = "[encoder]\nname = 'resnet18'\nwidth = 4";
    for (settings, expected) in [
        (
            format!(
                "method.name = 'simclr'\nmethod.head = 'plain'\nmethod.dim = 8\n\
                     recipe.mean = [0.5, 0.4, 0.2]\nrecipe.std = [0.1, 0.2, 0.3]\n{resnet}"
            ),
            "head = \"plain\"",
        ),
        (format!("method.name = 'moco'\nmethod.mlp = false\nmethod.queue = 8\n{resnet}"), "mlp = false"),
        (
            format!("method.name = 'instdisc'\nmethod.loss = 'nce'\nmethod.negatives = 5\n{resnet}"),
            "loss = \"nce\"",
        ),
        (
            "method.name = 'cpc'\nmethod.context_layers = 6\n[encoder]\nwidth = 4\nstages = [1, 1, 1]"
                .to_owned(),
            "context_layers = 6",
        ),
        (
            "method.name = 'exemplar'\nmethod.surrogate_classes = 8\nside = 40\nencoder.widths = [4, 6]"
                .to_owned(),
            "side = 40",
        ),
        (
            "method.tclip = 11.5\nside = 64\n[encoder]\nndf = 4\nn_rkhs = 32\nn_depth = 1".to_owned(),
            "side = 64",
        ),
    ] {
        let place = exported(&settings);
        succeed(&mut command(&place, &["import", "whole.safetensors", "--out", "again"]));
        let config = fs::read_to_string(place.path("again/config.toml")).unwrap();
        assert!(config.contains(expected), "{config}");
        export(&place, "again", &["--with-probes", "--out", "again.safetensors"]);
        let [mut whole, mut again] =
            ["whole.safetensors", "again.safetensors"].map(|file| stored(&place.path(file)));
        let of_the_set = ["memory", "surrogate_classes", "classifier.weight", "classifier.bias"];
        for name in of_the_set {
            assert_eq!(whole.remove(name).is_some(), again.remove(name).is_some(), "{name}");
        }
        assert!(whole == again, "{settings}");
        if !settings.contains("recipe") {
            continue;
        }
        let embedded = ["run", "again"].map(|run| {
            let words = ["embed", "--checkpoint", run, "--format", "npy", "--device", "cpu", "--shards"];
            let out = format!("embedded-{run}");
            succeed(command(&place, &words).args(["train-000.tar", "--out", &out]));
            fs::read(place.path(&out).join("00000-train-000.npy")).unwrap()
        });
        assert!(embedded[0] == embedded[1], "{settings}");
    }
}

#[test]
fn an_encoder_for_one_side_is_not_imported_with_a_preset_of_another_side() {
    let place = exported("method.name = 'exemplar'\nencoder.widths = [4, 6]");
    let words = ["import", "whole.safetensors", "--preset", "stl10", "--out", "again"];
    let said = run(&mut command(&place, &words));
    assert!(said.code == Some(2) && said.stderr.contains("leave out --preset"), "{}", said.stderr);
}

#[test]
fn an_encoder_without_norms_is_evaluated_without_settling_them() {
    let place = exported("method.name = 'exemplar'\nencoder.widths = [4, 6]");
    let words = ["eval", "knn", "--checkpoint", "run", "--val-shards", "train-000.tar", "--k", "3"];
    let said = succeed(command(&place, &words).args(["--device", "cpu", "--baseline"]));
    assert!(!said.stderr.contains("norms"), "{}", said.stderr);
    let kept = json(&place.path("run/checkpoints/step-00000001/eval-knn.json"));
    let results = kept[0]["results"].as_array().unwrap();
    let settled: Vec<_> = results.iter().map(|result| result.get("settled_on")).collect();
    assert_eq!(settled, [Some(&Value::Null); 2], "{kept}");
}
