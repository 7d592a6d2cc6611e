//! ResNets in PyTorch and ONNX, and checkpoints of other programs.

use std::{collections::BTreeMap, fs, path::Path};

use amdim_stream::{encoder::Mode, exchange::import};
use tch::{Kind, Tensor};

use super::support::{command, stored};
use crate::support::{self, Place, run, succeed};

fn python(arguments: &[&str]) -> String {
    support::python("resnets.py", arguments)
}

fn read(path: &Path) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Computes the features of images by an encoder in a file.
fn features(file: &Path, images: &Tensor) -> Tensor {
    let network = import::open(file).unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
    tch::no_grad(|| network.encoder().features(images, Mode::Evaluation))
}

fn off(found: &Tensor, expected: &Tensor) -> f64 {
    ((found - expected).abs().max() / expected.abs().max()).double_value(&[])
}

/// Trains a step of SimCLR with a ResNet, in `run`.
fn trained(place: &Place, encoder: &str, width: &str, side: &str) {
    let pattern = place.shards("train", 1, 8);
    let words =
        ["--method", "simclr", "--encoder", encoder, "--width", width, "--side", side, "--preset", "c10"];
    let more = ["--steps", "1", "--batch-size", "4", "--device", "cpu", "--shards", &pattern, "--out", "run"];
    succeed(command(place, &words).args(more));
}

#[test]
fn pytorch_and_onnx_compute_the_same_from_an_exported_resnet() {
    python(&["names"]);
    for (encoder, width, side, stem) in [
        ("resnet18", "64", "64", "imagenet"),
        ("resnet34", "4", "32", "cifar"),
        ("resnet50", "8", "64", "imagenet"),
    ] {
        let place = Place::new();
        trained(&place, encoder, width, side);
        for out in ["model.safetensors", "model.pth"] {
            succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", out]));
        }
        let side: i64 = side.parse().unwrap();
        let images = Tensor::randn([3, 3, side, side], (Kind::Float, tch::Device::Cpu));
        let r1 = features(&place.path("model.safetensors"), &images);
        assert!(off(&features(&place.path("model.pth"), &images), &r1) < 1e-6, "{encoder}");
        let named = [("images", images), ("r1", r1)];
        Tensor::write_safetensors(&named, place.path("expected.safetensors")).unwrap();
        python(&["exported", place.path(".").to_str().unwrap(), encoder, width, stem]);
    }
}

#[test]
fn an_exported_resnet_is_imported_to_the_bit_with_and_without_its_heads() {
    let place = Place::new();
    trained(&place, "resnet18", "4", "48");
    let export = |run: &str, out: &str, more: &[&str]| {
        succeed(command(&place, &["export", "--checkpoint", run, "--out", out]).args(more));
        stored(&place.path(out))
    };
    let plain = export("run", "plain.safetensors", &[]);
    let whole = export("run", "whole.safetensors", &["--with-probes", "--names", "own"]);
    assert!(plain.contains_key("conv1.weight") && whole.contains_key("head.fc1.weight"));
    for (file, number) in [("plain.safetensors", "1"), ("whole.safetensors", "2")] {
        succeed(&mut command(&place, &["import", file, "--out", number]));
        assert_eq!(export(number, &format!("{number}.safetensors"), &[]), plain);
        let config = fs::read_to_string(place.path(number).join("config.toml")).unwrap();
        assert!(config.contains("side = 48") && config.contains("name = \"simclr\""), "{config}");
    }
    assert_eq!(export("2", "again.safetensors", &["--with-probes", "--names", "own"]), whole);
    let refused = |words: &[&str], why: &str| {
        let said = run(command(&place, &["export", "--checkpoint", "run", "--out"]).args(words));
        assert!(said.code == Some(2) && said.stderr.contains(why), "{words:?}: {}", said.stderr);
    };
    refused(&["x.pth", "--names", "own"], "add --names torchvision");
    refused(&["x.pth", "--names", "reference"], "leave out --names reference");
}

#[test]
fn an_export_with_a_memory_bank_is_imported_without_it() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 8);
    let words =
        ["--method", "instdisc", "--encoder", "resnet18", "--width", "4", "--preset", "c10", "--steps", "1"];
    let more = ["--batch-size", "4", "--device", "cpu", "--shards", &pattern, "--out", "run"];
    succeed(command(&place, &words).args(more));
    for (run, out, more) in
        [("run", "plain.safetensors", &[][..]), ("run", "whole.safetensors", &["--with-probes"])]
    {
        succeed(command(&place, &["export", "--checkpoint", run, "--out", out]).args(more));
    }
    assert!(stored(&place.path("whole.safetensors")).contains_key("memory"));
    let said = succeed(&mut command(&place, &["import", "whole.safetensors", "--out", "again"]));
    assert!(said.stderr.contains("`memory` is left out"), "{}", said.stderr);
    succeed(&mut command(&place, &["export", "--checkpoint", "again", "--out", "again.safetensors"]));
    assert_eq!(stored(&place.path("again.safetensors")), stored(&place.path("plain.safetensors")));
}

#[test]
fn resnets_of_other_programs_are_imported_to_the_bit() {
    for (encoder, width, stem, preset) in [
        ("resnet18", "8", "cifar", "c10"),
        ("resnet34", "4", "imagenet", "in224"),
        ("resnet50", "4", "imagenet", "in224"),
    ] {
        let place = Place::new();
        let names = python(&["foreign", place.path(".").to_str().unwrap(), encoder, width, stem]);
        let truth = read(&place.path("truth.safetensors"));
        let expected = read(&place.path("expected.safetensors"));
        assert!(names.lines().count() > 30, "{names}");
        let few = [
            "torchvision-2-True.pth",
            "moco-v2.pth.tar",
            "lightly.ckpt",
            "npid-2-False.pth.tar",
            "timm.safetensors",
        ];
        let is_chosen = |name: &&str| encoder == "resnet18" || few.contains(name);
        for name in names.lines().filter(is_chosen) {
            let network = import::open(&place.path(name)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let found = network.tensors();
            let is_free = |key: &str| name == "uncounted.pth" && key.ends_with("num_batches_tracked");
            let differs =
                |key: &&String| !is_free(key) && !found[&format!("encoder.{key}")].equal(&truth[*key]);
            assert_eq!(truth.keys().filter(differs).collect::<Vec<_>>(), [""; 0], "{name}");
        }
        let found = features(&place.path("moco-v2.pth.tar"), &expected["images"]);
        assert!(off(&found, &expected["r1"]) < 1e-5, "{encoder}");
        succeed(&mut command(&place, &["import", "vissl.torch", "--out", "run"]));
        let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
        let lines =
            [format!("preset = \"{preset}\""), format!("name = \"{encoder}\""), format!("width = {width}")];
        assert!(lines.iter().all(|line| config.contains(line)), "{config}");
    }
}

/// The reference keeps a stem of 64 channels at every width.
#[test]
fn the_two_networks_of_cmc_are_imported_and_exported_to_the_bit() {
    for (encoder, width, stem_width) in [("resnet18", "4", "8"), ("resnet50", "4", "4")] {
        let place = Place::new();
        let folder = place.path(".");
        let names = python(&["cmc", folder.to_str().unwrap(), encoder, width, stem_width]);
        let expected = read(&place.path("expected.safetensors"));
        let agree = |name: &str| {
            let split = if name.contains("lab") { "lab" } else { "ycbcr" };
            let found = features(&place.path(name), &expected["images"]);
            assert!(off(&found, &expected[split]) < 1e-5, "{encoder} {name}");
            found
        };
        for name in names.lines() {
            let _ = agree(name);
        }
        let checkpoint = names.lines().find(|name| name.contains("ycbcr")).unwrap();
        succeed(&mut command(&place, &["import", checkpoint, "--out", "run"]));
        let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
        let mut lines = vec!["name = \"cmc\"", "split = \"ycbcr\"", "preset = \"in224\"", "width = 4"];
        lines.extend((encoder == "resnet18").then_some("stem_width = 8"));
        assert!(lines.iter().all(|line| config.contains(line)), "{config}");
        for out in ["model-ycbcr.safetensors", "model.pth"] {
            succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", out]));
        }
        assert!(stored(&place.path("model-ycbcr.safetensors")) == stored(&place.path("truth.safetensors")));
        let exported =
            [("images", expected["images"].shallow_clone()), ("r1", agree("model-ycbcr.safetensors"))];
        // A state dict does not say what the networks see.
        assert!(off(&features(&place.path("model.pth"), &expected["images"]), &expected["lab"]) < 1e-5);
        if encoder == "resnet18" {
            fs::rename(place.path("model-ycbcr.safetensors"), place.path("model.safetensors")).unwrap();
            Tensor::write_safetensors(&exported, place.path("expected.safetensors")).unwrap();
            python(&["split", folder.to_str().unwrap(), encoder, width, stem_width]);
        }
    }
}

#[test]
fn a_run_of_cmc_is_exported_with_its_heads_and_imported_without_its_banks() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 8);
    let words =
        ["--method", "cmc", "--encoder", "resnet18", "--width", "4", "--preset", "c10", "--side", "64"];
    let more = ["--steps", "1", "--batch-size", "4", "--device", "cpu", "--shards", &pattern, "--out", "run"];
    succeed(command(&place, &words).args(more));
    let export = |run: &str, out: &str| {
        succeed(&mut command(&place, &["export", "--checkpoint", run, "--out", out, "--with-probes"]));
        stored(&place.path(out))
    };
    let exported = export("run", "model.safetensors");
    assert!(["l_to_ab.conv1.weight", "ab_to_l.fc.weight"].iter().all(|name| exported.contains_key(*name)));
    succeed(&mut command(&place, &["import", "model.safetensors", "--out", "again"]));
    let mut again = export("again", "again.safetensors");
    for bank in ["memory_l", "memory_ab"] {
        again.insert(bank.to_owned(), exported[bank].clone());
    }
    assert!(again == exported);
    let images = Tensor::rand([2, 3, 64, 64], (Kind::Float, tch::Device::Cpu));
    let r1 = features(&place.path("model.safetensors"), &images);
    let named = [("images", images), ("r1", r1)];
    Tensor::write_safetensors(&named, place.path("expected.safetensors")).unwrap();
    python(&["converted", place.path(".").to_str().unwrap()]);
}

#[test]
fn an_imported_resnet_is_evaluated_embedded_and_trained_on() {
    let place = Place::new();
    python(&["foreign", place.path(".").to_str().unwrap(), "resnet18", "4", "cifar"]);
    let pattern = place.shards("train", 1, 12);
    succeed(&mut command(&place, &["import", "moco-v1.pth.tar", "--out", "imported"]));
    let cpu = ["--device", "cpu", "--shards", pattern.as_str()];
    let embed = ["embed", "--checkpoint", "imported", "--out", "embedded", "--format", "npy"];
    succeed(command(&place, &embed).args(cpu));
    let knn = ["eval", "knn", "--checkpoint", "imported", "--val-shards", &pattern, "--k", "3"];
    succeed(command(&place, &knn).args(cpu));
    let warm = [
        "--warm-start",
        "imported",
        "--method",
        "simclr",
        "--encoder",
        "resnet18",
        "--width",
        "4",
        "--preset",
    ];
    let more = ["c10", "--steps", "1", "--batch-size", "4", "--out", "warm"];
    succeed(command(&place, &warm).args(more).args(cpu));
}

#[test]
fn networks_that_are_no_known_resnet_are_refused_with_the_reason() {
    let place = Place::new();
    python(&["refused", place.path(".").to_str().unwrap()]);
    for (file, why) in [
        ("two.pth", "has several ResNets: `encoder.first.`, `encoder.second.`"),
        ("half.pth", "`encoder.ab_to_l.conv1.weight` is missing"),
        ("unequal.pth", "networks for lightness and color differ in their depth, width or stem"),
        ("gray.pth", "`encoder.conv1.weight` is for images of 1 channels instead of 3"),
        ("deep.pth", "it has [3, 4, 7, 3] blocks in its stages"),
        ("torn.pth", "`encoder.layer2.1.bn1.bias` is missing"),
    ] {
        let said = run(&mut command(&place, &["import", file, "--out", "refused"]));
        assert!(said.code != Some(0) && said.stderr.contains(why), "{file}: {}", said.stderr);
        assert!(!place.path("refused").exists(), "{file}");
    }
}
