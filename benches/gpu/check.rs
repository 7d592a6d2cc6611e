//! Comparisons that any device must pass.

use std::{
    collections::BTreeMap,
    env, fs,
    panic::{self, AssertUnwindSafe},
    process::Command,
    time::Instant,
};

use amdim_stream::{
    config::Config,
    data,
    feed::Feed,
    method::{Means, MethodConfig},
    model,
    sys::{self, GraphChoice, Precision},
    train::{Trainer, optim, plan::made_up, schedule::Schedule},
};
use anyhow::{Context, Result, bail, ensure};
use pipeline::{LoaderConfig, Preset, Rgb};
use serde_json::{Value, json};
use shards::{IndexConfig, LocalSource, Order, Position, ShardSet, ShardWriter, Share, Shuffle};
use tch::{
    Device, Kind, Tensor,
    nn::{Init, VarStore},
};

use crate::golden;

/// A comparison by name; it gives its figures, or fails.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Device) -> Result<Value>,
}

/// What a comparison came to.
pub(crate) struct Outcome {
    pub(crate) passed: bool,
    pub(crate) line: Value,
}

/// In the order in which they are run.
pub(crate) const ALL: [Check; 9] = [
    Check { name: "fixtures in f32", run: fixtures_in_f32 },
    Check { name: "fixtures in f64", run: fixtures_in_f64 },
    Check { name: "losses of large scores", run: losses },
    Check { name: "bf16 beside f32", run: bf16 },
    Check { name: "fused adam beside the plain one", run: adam },
    Check { name: "overlap: batches seen whole", run: overlap },
    Check { name: "graph beside kernel by kernel", run: graph },
    Check { name: "graph that cannot be recorded", run: in_vain },
    Check { name: "resumed beside uninterrupted", run: resume },
];

impl Check {
    pub(crate) fn run(&self, device: Device) -> Outcome {
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(|| sys::caught(|| (self.run)(device))));
        let (passed, found) = match result {
            Ok(Ok(Ok(figures))) => (true, figures),
            Ok(Ok(Err(error))) => (false, json!(format!("{error:#}"))),
            Ok(Err(failure)) => (false, json!(failure.to_string())),
            Err(panic) => (false, json!(said(&*panic))),
        };
        let seconds = start.elapsed().as_secs_f64();
        Outcome {
            passed,
            line: json!({"check": self.name, "passed": passed, "found": found, "seconds": seconds}),
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn fixtures_in_f32(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    golden::case::agree(device, golden::case::Precision::Single);
    Ok(Value::Null)
}

fn fixtures_in_f64(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    golden::case::agree(device, golden::case::Precision::Double);
    Ok(Value::Null)
}

fn losses(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    golden::loss_only::agree(device);
    golden::loss_only::agree_in_single_precision(device);
    Ok(Value::Null)
}

/// Loss and gradients of a batch, one and the same model and batch for every precision.
fn pass(device: Device, precision: Precision) -> Result<(f64, Tensor)> {
    precision.apply()?;
    let vars = VarStore::new(device);
    tch::manual_seed(3);
    let encoder = model::amdim::Config { ndf: 16, n_rkhs: 128, n_depth: 2, use_bn: true };
    let method = MethodConfig::default().build(&vars.root(), 128, &encoder);
    let named: BTreeMap<_, _> = vars.variables().into_iter().collect();
    // As they are initialized half of the weights are zero, and hide what is behind them.
    tch::no_grad(|| {
        for (_, tensor) in named.iter().filter(|(name, _)| name.contains("conv2")) {
            let drawn = Tensor::empty(tensor.size(), (Kind::Float, Device::Cpu)).uniform_(-0.05, 0.05);
            tensor.shallow_clone().copy_(&drawn);
        }
    });
    let views = made_up(24, 128, Device::Cpu);
    let views = amdim_stream::method::Views {
        images: views.images.to_device(device),
        labels: views.labels.to_device(device),
        indices: views.indices.to_device(device),
        next: views.next,
    };
    tch::manual_seed(4);
    let loss = method.backward(&views, Means { precision, parts: 1, by_block: false })?;
    let gradients: Vec<_> = named.values().map(Tensor::grad).filter(Tensor::defined).collect();
    let flat: Vec<_> =
        gradients.iter().map(|gradient| gradient.flatten(0, -1).to_kind(Kind::Double)).collect();
    Ok((loss.total.double_value(&[]), Tensor::cat(&flat, 0)))
}

fn bf16(device: Device) -> Result<Value> {
    let (exact, exact_gradients) = pass(device, Precision::F32)?;
    let (rough, rough_gradients) = pass(device, Precision::Bf16)?;
    let off = (rough - exact).abs() / exact;
    let norms = exact_gradients.norm() * rough_gradients.norm();
    let cosine = (exact_gradients.dot(&rough_gradients) / norms).double_value(&[]);
    ensure!(off > 0.0, "bf16 is not used");
    ensure!(off < 1e-2 && cosine > 0.98, "the loss is off by {off:.1e}, cosine of the gradients {cosine:.4}");
    Ok(json!({"loss_off": off, "cosine_of_gradients": cosine}))
}

/// Fifty updates against the definition, term by term.
fn adam(device: Device) -> Result<Value> {
    let config = optim::Config { weight_decay: 1e-2, clip_norm: Some(5.0), ..optim::Config::default() };
    tch::manual_seed(7);
    let vars = VarStore::new(device);
    let shapes: [&[i64]; 4] = [&[300, 5], &[7], &[64, 32, 4, 4], &[1]];
    let parameters: Vec<_> = (0..)
        .zip(shapes)
        .map(|(number, shape)| {
            vars.root().var(&format!("p{number}"), shape, Init::Randn { mean: 0.0, stdev: 1.0 })
        })
        .collect();
    let mut plain: Vec<_> = parameters.iter().map(|p| p.detach().to_kind(Kind::Double)).collect();
    let mut moments: Vec<_> = plain.iter().map(|p| (p.zeros_like(), p.zeros_like())).collect();
    let mut fused = optim::Adam::new(&vars, &config);
    for step in 1..=50 {
        fused.forget_gradients()?;
        let along: Vec<_> = parameters.iter().map(Tensor::randn_like).collect();
        let total: Tensor =
            parameters.iter().zip(&along).map(|(p, along)| (p * along).sum(Kind::Float)).sum();
        total.backward();
        let _ = fused.step(1e-3, &total)?;
        let along: Vec<_> = along.iter().map(|along| along.to_kind(Kind::Double)).collect();
        let norm = along.iter().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
        let scale = (norm / 5.0).max(1.0);
        let [beta_1, beta_2] = config.betas;
        for ((parameter, (mean, square)), gradient) in plain.iter_mut().zip(&mut moments).zip(&along) {
            let gradient = gradient / scale + &*parameter * config.weight_decay;
            *mean = &*mean * beta_1 + &gradient * (1.0 - beta_1);
            *square = &*square * beta_2 + gradient.square() * (1.0 - beta_2);
            let root = (&*square / (1.0 - beta_2.powi(step))).sqrt() + config.eps;
            *parameter = &*parameter - &*mean / (1.0 - beta_1.powi(step)) / root * 1e-3;
        }
    }
    let off =
        parameters.iter().zip(&plain).map(|(a, b)| (a - b).abs().max().double_value(&[])).fold(0.0, f64::max);
    ensure!(off < 2e-6, "off by {off:.1e} after 50 updates");
    Ok(json!({"largest_difference": off}))
}

/// Batches of one gray each, which the device has to see as they were sent: where it has so much to do that batches wait for it,
/// and where it has so little that it waits for them.
fn overlap(device: Device) -> Result<Value> {
    const BATCHES: u64 = 60;
    const SAMPLES: u64 = 32;
    let gray = |batch: u64| (batch * 4) as u8;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.tar");
    let mut writer = ShardWriter::create(&path)?;
    for number in 0..BATCHES * SAMPLES {
        let mut image = Rgb::black(146, 146);
        image.pixels.fill(gray(number / SAMPLES));
        writer.append(&number.to_string(), &[("jpg", &pipeline::encode_jpeg(&image, 95)?)])?;
    }
    writer.finish()?;
    let set = ShardSet::open(LocalSource::new(&[path.display().to_string()])?, &IndexConfig::default())?;
    let mut shares = Vec::new();
    for products in [0, if device.is_cuda() { 40 } else { 1 }] {
        let start = Instant::now();
        let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
        let samples = set.samples(order, Share::default(), Position::default());
        let loader =
            LoaderConfig { workers: data::cores(), batch_size: SAMPLES as usize, ..LoaderConfig::default() };
        let preset = Preset::In128;
        let mut feed = Feed::spawn(samples, preset.evaluation(), preset.normalization(), &loader, device)?;
        let seen = see(&mut feed, products, device)?;
        ensure!(seen.len() as u64 == BATCHES, "{} batches of {BATCHES}", seen.len());
        for (number, seen) in (0..).zip(&seen) {
            check_gray(number, gray(number), seen)?;
        }
        shares.push(feed.take_waited()?.as_secs_f64() / start.elapsed().as_secs_f64());
    }
    // Copies hide behind the products.
    ensure!(!device.is_cuda() || shares[1] < 0.1, "the device waited for {:.2} of the time", shares[1]);
    Ok(json!({"batches": 2 * BATCHES, "waited_idle": shares[0], "waited_busy": shares[1]}))
}

/// The least and the greatest number of each batch, after so many products of large matrices.
fn see(feed: &mut Feed, products: usize, device: Device) -> Result<Vec<Tensor>> {
    let size = if device.is_cuda() { 4096 } else { 64 };
    let work = Tensor::ones([size, size], (Kind::Float, device)) / size as f64;
    let mut product = work.copy();
    let mut seen = Vec::new();
    for staged in feed.by_ref() {
        let staged = staged?;
        for _ in 0..products {
            product = product.matmul(&work);
        }
        let all = [0i64; 0];
        let images = &staged.views.images + product.get(0).get(0) * 0.0;
        seen.push(Tensor::stack(
            &[images.amin(all.as_slice(), false), images.amax(all.as_slice(), false)],
            0,
        ));
    }
    Ok(seen)
}

/// One gray is a number of its own in each channel: the least and the greatest of the three are seen.
fn check_gray(number: u64, gray: u8, seen: &Tensor) -> Result<()> {
    let normalization = Preset::In128.normalization();
    let mut expected = [0, 1, 2].map(|k| (f64::from(gray) - normalization.mean[k]) / normalization.std[k]);
    expected.sort_by(f64::total_cmp);
    for (k, bound) in [expected[0], expected[2]].into_iter().enumerate() {
        let off = (seen.double_value(&[k as i64]) - bound).abs();
        ensure!(off < 0.04, "batch {number} is off by {off:.3}");
    }
    Ok(())
}

fn small(device: Device, graph: GraphChoice) -> Result<Trainer> {
    let mut config = Config::preset(Preset::In128);
    config.encoder = model::amdim::Config { ndf: 8, n_rkhs: 64, n_depth: 2, use_bn: false };
    config.train.precision = Precision::F32;
    config.run.cuda_graph = graph;
    Trainer::new(&config, Some(10), device, Schedule::new(&config.optim, 1000, 100.0))
}

/// All parameters and statistics, one after the other, in f64 on the CPU.
fn flat(trainer: &Trainer) -> Tensor {
    let tensors: Vec<_> = trainer
        .model()
        .into_values()
        .map(|tensor| tensor.flatten(0, -1).to_device(Device::Cpu).to_kind(Kind::Double))
        .collect();
    Tensor::cat(&tensors, 0)
}

/// The same steps on the same batches, dropout and drawn cells included. Sums in other orders may turn the sign of a tiny
/// gradient, of which Adam makes a whole step: what counts is the difference as a share of the way gone.
fn graph(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    let (mut plain, mut recorded) = (small(device, GraphChoice::Off)?, small(device, GraphChoice::On)?);
    let start = flat(&plain);
    let mut losses_off = 0f64;
    for number in 0..12 {
        tch::manual_seed(100 + number);
        let views = made_up(16, 128, device);
        let losses = [&mut plain, &mut recorded]
            .map(|trainer| -> Result<f64> { Ok(trainer.step(&views)?.found.loss()) });
        let [a, b] = losses;
        let (a, b) = (a?, b?);
        losses_off = losses_off.max((a - b).abs() / a.abs());
    }
    let (plain_end, recorded_end) = (flat(&plain), flat(&recorded));
    let way = (&plain_end - &start).norm().double_value(&[]);
    let off = (&plain_end - recorded_end).norm().double_value(&[]) / way;
    ensure!(way > 0.0, "nothing was learned");
    ensure!(
        losses_off < 1e-4 && off < 0.05,
        "losses off by {losses_off:.1e}, parameters by {off:.1e} of the way"
    );
    if device.is_cuda() && !recorded.is_recorded() {
        bail!("no graph could be recorded; the message above says why");
    }
    Ok(json!({"losses_off": losses_off, "parameters_off": off, "recorded": recorded.is_recorded()}))
}

/// After a recording that fails, steps are what they would have been.
fn in_vain(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    let (mut plain, mut disturbed) = (small(device, GraphChoice::Off)?, small(device, GraphChoice::Off)?);
    let mut why = None;
    let mut losses_off = 0f64;
    for number in 0..4 {
        tch::manual_seed(100 + number);
        let views = made_up(16, 128, device);
        if number == 2 {
            why = sys::record_in_vain(device);
            ensure!(why.is_some(), "a wait for the device was recorded");
        }
        let (a, b) = (plain.step(&views)?.found.loss(), disturbed.step(&views)?.found.loss());
        losses_off = losses_off.max((a - b).abs() / a.abs());
    }
    ensure!(losses_off < 1e-4, "losses off by {losses_off:.1e}");
    Ok(json!({"losses_off": losses_off, "why": why}))
}

/// The program itself: a run of eight steps, and one that ends after four and is resumed.
fn resume(device: Device) -> Result<Value> {
    let program = env::current_exe()?.parent().context("a program lies in a folder")?.join("amdim-stream");
    let folder = tempfile::tempdir()?;
    let run = |words: &[&str]| -> Result<()> {
        let output = Command::new(&program)
            .args(words)
            .current_dir(folder.path())
            .output()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {}", said.lines().last().unwrap_or("it failed"));
        Ok(())
    };
    run(&["synth", "--out", "d", "--side", "40", "--count", "64", "--shards", "1"])?;
    let device = sys::name(device);
    let train = |out: &str, steps: &str| {
        let fixed = "--shards d/train-000.tar --preset c10 --ndf 8 --n-rkhs 32 --batch-size 16 --precision f32 --epochs 2";
        let mut words: Vec<_> = fixed.split(' ').chain(["--device", &device, "--out", out]).collect();
        words.extend(["--checkpoint-every", steps]);
        run(&words)
    };
    train("whole", "8")?;
    // A checkpoint after four steps is all that is left of the other run: it goes on from there.
    train("parts", "4")?;
    let last = |out: &str, step: u64| folder.path().join(format!("{out}/checkpoints/step-{step:08}"));
    fs::remove_dir_all(last("parts", 8))?;
    train("parts", "4")?;
    let read = |out: &str, step: u64, file: &str| -> Result<BTreeMap<String, Tensor>> {
        Ok(Tensor::read_safetensors(last(out, step).join(file))?.into_iter().collect())
    };
    // What is trained, and its moments: the difference as a share of the way gone since the run was resumed.
    let mut offs = Vec::new();
    for (file, is_wanted) in [("model.safetensors", "encoder."), ("optimizer.safetensors", "")] {
        let [whole, parts, before] =
            [("whole", 8), ("parts", 8), ("parts", 4)].map(|(out, step)| read(out, step, file));
        let (whole, parts, before) = (whole?, parts?, before?);
        ensure!(whole.keys().eq(parts.keys()) && !whole.is_empty(), "{file}: other names");
        let names = || {
            whole.keys().filter(|name| {
                name.starts_with(is_wanted) && !name.contains("running_") && !name.contains("tracked")
            })
        };
        let apart = |other: &BTreeMap<String, Tensor>| -> f64 {
            let square = |name: &String| {
                (&whole[name] - &other[name]).to_kind(Kind::Double).square().sum(Kind::Double)
            };
            names().map(|name| square(name).double_value(&[])).sum::<f64>().sqrt()
        };
        let (off, way) = (apart(&parts), apart(&before));
        ensure!(way > 0.0, "{file}: nothing has moved");
        ensure!(
            off / way < 0.05 && (device != "cpu" || off == 0.0),
            "{file}: off by {:.1e} of the way",
            off / way
        );
        offs.push(off / way);
    }
    Ok(json!({"parameters_off": offs[0], "moments_off": offs[1]}))
}
