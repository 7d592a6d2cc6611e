//! Comparisons that any device must pass.

use std::{
    collections::BTreeMap,
    env, fs,
    panic::{self, AssertUnwindSafe},
    process::Command,
    time::Instant,
};

use amdim_stream::{
    commands::plan::made_up,
    config::Config,
    data, encoder,
    feed::Feed,
    method::{self, ComputeOptions, MethodConfig},
    optim::{self, Schedule},
    train::Trainer,
    world::World,
};
use anyhow::{Context, Result, bail, ensure};
use pipeline::{LoaderConfig, Preset, Rgb};
use serde_json::{Value, json};
use shards::{IndexConfig, LocalSource, Order, Position, ShardSet, ShardWriter, Share, Shuffle};
use tch::{Device, Kind, Tensor, nn::VarStore};
use torchkit::{GraphChoice, Precision};

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
        let result = panic::catch_unwind(AssertUnwindSafe(|| torchkit::caught(|| (self.run)(device))));
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
    let encoder = encoder::amdim::Config { ndf: 16, n_rkhs: 128, n_depth: 2, use_bn: true };
    let method = MethodConfig::default().build(&vars.root(), 128, &encoder.into());
    let named: BTreeMap<_, _> = vars.variables().into_iter().collect();
    // As they are initialized half of the weights are zero, and hide what is behind them.
    tch::no_grad(|| {
        for (_, tensor) in named.iter().filter(|(name, _)| name.contains("conv2")) {
            let drawn = Tensor::empty(tensor.size(), (Kind::Float, Device::Cpu)).uniform_(-0.05, 0.05);
            tensor.shallow_clone().copy_(&drawn);
        }
    });
    let views = made_up(24, 128, Device::Cpu);
    let views = amdim_stream::views::Views {
        images: views.images.to_device(device),
        labels: views.labels.to_device(device),
        indices: views.indices.to_device(device),
        next: views.next,
    };
    tch::manual_seed(4);
    let loss = method::backward(
        method.as_ref(),
        &views,
        ComputeOptions { precision, parts: 1, by_block: false, world: World::ALONE },
    )?;
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

/// Fifty updates against the definition, from several seeds.
fn adam(device: Device) -> Result<Value> {
    let config = optim::Config { weight_decay: 1e-2, clip_norm: Some(5.0), ..optim::Config::default() };
    let offs = (0..4).map(|seed| adam_off(device, seed, &config, &config)).collect::<Result<Vec<_>>>()?;
    let [parameters, moments] = [0, 1].map(|which| offs.iter().map(|off| off[which]).fold(0.0, f64::max));
    ensure!(
        parameters < ADAM_OFF[0] && moments < ADAM_OFF[1],
        "parameters off by {parameters:.1e} of the way, moments by {moments:.1e}"
    );
    Ok(json!({"parameters_off": parameters, "moments_off": moments}))
}

/// What rounding to f32 stays below, of the parameters' way and of the moments: single numbers may be off by more, where a mean
/// gradient is next to nothing.
pub(crate) const ADAM_OFF: [f64; 2] = [1e-3, 1e-5];

/// A parameter by the definition, in f64.
struct Plain {
    parameter: Tensor,
    mean: Tensor,
    square: Tensor,
}

impl Plain {
    fn of(parameter: &Tensor) -> Self {
        let parameter = parameter.detach().to_kind(Kind::Double);
        Self { mean: parameter.zeros_like(), square: parameter.zeros_like(), parameter }
    }

    fn step(&mut self, gradient: &Tensor, step: i32, config: &optim::Config) {
        let [beta_1, beta_2] = config.betas;
        let gradient = gradient + &self.parameter * config.weight_decay;
        self.mean = &self.mean * beta_1 + &gradient * (1.0 - beta_1);
        self.square = &self.square * beta_2 + gradient.square() * (1.0 - beta_2);
        let root = (&self.square / (1.0 - beta_2.powi(step))).sqrt() + config.eps;
        self.parameter = &self.parameter - &self.mean / (1.0 - beta_1.powi(step)) / root * 1e-3;
    }
}

/// How far fused updates with one configuration are from the definition with another, after fifty of them: the parameters as a
/// share of the way that they went, the moments as a share of themselves.
pub(crate) fn adam_off(
    device: Device,
    seed: i64,
    config: &optim::Config,
    defined: &optim::Config,
) -> Result<[f64; 2]> {
    tch::manual_seed(seed);
    let vars = VarStore::new(device);
    let shapes: [&[i64]; 4] = [&[300, 5], &[7], &[1], &[64, 4, 4, 32]];
    let drawn = shapes.map(|shape| Tensor::randn(shape, (Kind::Float, Device::Cpu)));
    // As convolutions have them: channels last.
    let drawn = drawn.map(|tensor| if tensor.dim() == 4 { tensor.permute([0, 3, 1, 2]) } else { tensor });
    let named =
        (0..).zip(drawn).map(|(k, drawn)| vars.root().add(&format!("p{k}"), drawn.to_device(device), true));
    let parameters: Vec<_> = named.collect();
    let mut plain: Vec<_> = parameters.iter().map(Plain::of).collect();
    let start: Vec<_> = plain.iter().map(|plain| plain.parameter.copy()).collect();
    let mut fused = optim::Adam::new(&vars, config);
    let clip_norm = defined.clip_norm.unwrap_or(f64::INFINITY);
    for step in 1..=50 {
        fused.forget_gradients()?;
        let along: Vec<_> = parameters.iter().map(Tensor::randn_like).collect();
        let total: Tensor =
            parameters.iter().zip(&along).map(|(p, along)| (p * along).sum(Kind::Float)).sum();
        total.backward();
        let _ = fused.step(1e-3, &total)?;
        let along: Vec<_> = along.iter().map(|along| along.to_kind(Kind::Double)).collect();
        let scale = (long(&along) / clip_norm).max(1.0);
        plain.iter_mut().zip(&along).for_each(|(plain, along)| plain.step(&(along / scale), step, defined));
    }
    let moments = fused.moments();
    let of_plain = |of: fn(&Plain) -> &Tensor| plain.iter().map(|p| of(p).copy()).collect::<Vec<_>>();
    let of_fused =
        |kind: &str| -> Vec<_> { (0..4).map(|k| moments[&format!("{kind}.p{k}")].copy()).collect() };
    let ends = of_plain(|plain| &plain.parameter);
    let off = long(&apart(&parameters, &ends)) / long(&apart(&start, &ends));
    let share = |kind, exact: Vec<Tensor>| long(&apart(&of_fused(kind), &exact)) / long(&exact);
    let of_means = share("exp_avg", of_plain(|plain| &plain.mean));
    let of_squares = share("exp_avg_sq", of_plain(|plain| &plain.square));
    Ok([off, of_means.max(of_squares)])
}

/// The 2-norm of all of them together.
fn long(tensors: &[Tensor]) -> f64 {
    tensors.iter().map(|t| t.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
}

/// The differences of pairs, in f64.
fn apart(some: &[Tensor], others: &[Tensor]) -> Vec<Tensor> {
    some.iter().zip(others).map(|(a, b)| a.detach().to_kind(Kind::Double) - b).collect()
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
    config.encoder = encoder::amdim::Config { ndf: 8, n_rkhs: 64, n_depth: 2, use_bn: false }.into();
    config.train.precision = Precision::F32;
    config.run.cuda_graph = graph;
    Trainer::new(&config, Some(10), device, Schedule::new(&config.optim, 1000, 100.0))
}

/// All parameters and statistics, one after the other, in f64 on the CPU.
fn flat(trainer: &Trainer) -> Tensor {
    let tensors: Vec<_> = trainer
        .network()
        .tensors()
        .into_values()
        .map(|tensor| tensor.flatten(0, -1).to_device(Device::Cpu).to_kind(Kind::Double))
        .collect();
    Tensor::cat(&tensors, 0)
}

/// The same steps on the same batches, dropout and drawn cells included: recorded ones beside those that are queued kernel by
/// kernel, which are made twice. A device need not add up in the same order every time, and may turn the sign of a tiny gradient,
/// of which Adam makes a whole step: recorded steps are to be as close to the others as these are to each other, about.
fn graph(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    let mut trainers = [GraphChoice::Off, GraphChoice::Off, GraphChoice::On]
        .map(|graph| small(device, graph))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let start = flat(&trainers[0]);
    // Of the plain steps made again, and of the recorded ones.
    let mut losses_off = [0f64; 2];
    for number in 0..12 {
        tch::manual_seed(100 + number);
        let views = made_up(16, 128, device);
        let losses: Result<Vec<_>> =
            trainers.iter_mut().map(|trainer| Ok(trainer.step(&views)?.found.loss())).collect();
        let losses = losses?;
        for (off, loss) in losses_off.iter_mut().zip(&losses[1..]) {
            *off = off.max((losses[0] - loss).abs() / losses[0].abs());
        }
    }
    let [again, off] = losses_off;
    ensure!(off < (4.0 * again).max(1e-4), "losses off by {off:.1e}; kernel by kernel again by {again:.1e}");
    if device.is_cuda() && !trainers[2].is_recorded() {
        bail!("no graph could be recorded; the message above says why");
    }
    let end = flat(&trainers[0]);
    let way = (&end - &start).norm().double_value(&[]);
    ensure!(way > 0.0, "nothing was learned");
    let [parameters_again, parameters] =
        [1, 2].map(|which| (&end - flat(&trainers[which])).norm().double_value(&[]) / way);
    ensure!(
        parameters < (4.0 * parameters_again).max(0.05),
        "parameters off by {parameters:.1e} of the way; kernel by kernel again by {parameters_again:.1e}"
    );
    Ok(json!({
        "losses_off": off, "losses_off_again": again, "parameters_off": parameters,
        "parameters_off_again": parameters_again, "recorded": trainers[2].is_recorded(),
    }))
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
            why = torchkit::record_in_vain(device);
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
    let device = torchkit::name(device);
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
