//! Export, import and embed, checked by PyTorch.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
};

use amdim_stream::{
    encoder::amdim,
    exchange::{export::METADATA, import},
};
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::support::{Entry, Place, jpeg, lines, program, run, succeed};

/// Python with torch, as `tools/python.sh` leaves it.
fn python(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".python");
    assert!(python.exists(), "no `.python`: `make test` sets it up once, and so does tools/python.sh");
    let output =
        Command::new(python).arg(root.join("tests/python/exchange.py")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A place with a run of a few steps in `run`, and its shards.
fn trained(more: &[&str]) -> (Place, String) {
    let place = Place::new();
    let pattern = place.shards("train", 2, 20);
    let mut steps = vec!["--steps", "3"];
    steps.extend(more);
    succeed(&mut place.train(&pattern, "run", &steps));
    (place, pattern)
}

fn command(place: &Place, words: &[&str]) -> Command {
    let mut command = program();
    command.args(words).current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

fn stored(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors.map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect()
}

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

#[test]
fn what_was_exported_is_imported_to_the_bit() {
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
fn training_goes_on_from_an_imported_encoder() {
    let (place, pattern) = trained(&[]);
    succeed(&mut command(&place, &["export", "--checkpoint", "run", "--out", "encoder.safetensors"]));
    succeed(&mut command(&place, &["import", "encoder.safetensors", "--out", "imported"]));
    // The least rate that there is: what comes out is, but for a step of that size, what it began with.
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
fn every_form_that_the_references_loader_takes_is_imported() {
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

/// Exports under the reference's names, in both formats, of a run with labels and of one without.
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
fn an_export_loads_in_the_reference_as_it_is() {
    let place = exported_for_the_reference();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/case_s32_bn0_d2");
    // Where there are no labels, the classifiers that the reference's model has are new ones, the same each time.
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

/// Two shards: 70 labelled images, then three without a label, the first of which is no image.
fn shards_to_embed(place: &Place) {
    place.write(
        "some-000.tar",
        (0..70).map(|number| Entry {
            key: format!("a/{number}"),
            image: jpeg(number),
            label: Some("1".into()),
        }),
    );
    let images = [Vec::from(*b"no image"), jpeg(3), jpeg(4)];
    let mixed = images.into_iter().enumerate();
    place.write(
        "some-001.tar",
        mixed.map(|(number, image)| Entry { key: format!("b{number}"), image, label: None }),
    );
}

#[test]
fn embeddings_are_the_same_in_both_formats_and_are_taken_up_again() {
    let (place, _) = trained(&[]);
    shards_to_embed(&place);
    let embed = |format: &str, layer: &str, out: &str| {
        let words = [
            "embed",
            "--checkpoint",
            "run",
            "--shards",
            "some-<000..001>.tar",
            "--format",
            format,
            "--layer",
            layer,
            "--out",
            out,
            "--device",
            "cpu",
        ];
        command(&place, &words)
    };
    let report = |said: &str| -> serde_json::Value { serde_json::from_str(said).unwrap() };
    let said = succeed(&mut embed("parquet", "r5", "p"));
    let first = report(&said.stdout);
    assert!(first["samples"] == 72 && first["left_out"] == 1 && first["width"] == 16, "{first}");
    assert!(said.stderr.contains("left out, as they cannot be read: 1"), "{}", said.stderr);
    assert_eq!(first["first_left_out"]["key"], "b0", "{first}");
    let list = lines(&place.path("p/00001-some-001.left-out.jsonl"));
    assert!(
        list.len() == 1
            && list[0] == first["first_left_out"]
            && !place.path("p/00000-some-000.left-out.jsonl").exists()
    );
    succeed(&mut embed("npy", "r5", "n"));
    let [parquet, npy] = ["p", "n"].map(|name| place.path(name).to_str().unwrap().to_owned());
    assert_eq!(python(&["embeddings", &parquet, &npy]).trim(), "72");
    // The sample without an image is left out, the keys of the others are theirs.
    assert_eq!(fs::read_to_string(place.path("n/00001-some-001.tsv")).unwrap(), "b1\t\nb2\t\n");
    let part = place.path("p/00000-some-000.parquet");
    let before = fs::read(&part).unwrap();
    fs::remove_file(&part).unwrap();
    fs::write(place.path("p/00000-some-000.parquet.partial"), "cut").unwrap();
    let again = report(&succeed(&mut embed("parquet", "r5", "p")).stdout);
    assert!(again["done_before"] == 1 && again["samples"] == 70 && again["left_out"] == 1, "{again}");
    assert_eq!(fs::read(&part).unwrap(), before);
    let said = run(&mut embed("parquet", "r7", "p"));
    assert!(
        said.code == Some(2) && said.stderr.contains("another layer: r5 then, r7 now"),
        "{}",
        said.stderr
    );
    let anew = report(&succeed(embed("npy", "r7", "p").arg("--force")).stdout);
    assert!(anew["done_before"] == 0 && anew["samples"] == 72 && !part.exists(), "{anew}");
    let said = run(&mut embed("parquet", "r7", "p.parquet"));
    assert!(said.code == Some(2) && said.stderr.contains("gets one of its own"), "{}", said.stderr);
    let said = run(&mut embed("parquet", "r7", "."));
    assert!(said.code == Some(2) && said.stderr.contains("nor a folder of embeddings"), "{}", said.stderr);
    let said = run(&mut embed("parquet", "r3", "q"));
    assert!(said.code == Some(2) && said.stderr.contains("one of r1, r5, r7"), "{}", said.stderr);
}
