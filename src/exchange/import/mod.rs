//! `amdim-stream import`: an export, or a checkpoint of the reference implementation, as a run folder of ours.

mod pickle;
mod pth;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use pipeline::Preset;
use safetensors::{SafeTensors, tensor::Metadata};
use serde_json::json;
use shards::Position;
use tch::{Device, Tensor};

use crate::{
    checkpoint::{Checkpoints, DataIdentity, Named, Retention, State},
    config::Config,
    destination::{self, Contents},
    encoder,
    exchange::export::{self, Description},
    files,
    method::MethodConfig,
    network::Network,
    optim::Adam,
    stdout, usage,
};

/// What `import` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .safetensors file of `amdim-stream export`, or a .pth file of the reference implementation
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Run folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Augmentation and evaluation recipe [default: c10, stl10 or in128 by the side of the encoder's images]
    #[arg(long)]
    pub preset: Option<Preset>,
}

/// A model from elsewhere, under our names.
#[derive(Debug)]
pub struct Foreign {
    tensors: BTreeMap<String, Tensor>,
    encoder: encoder::amdim::Config,
    side: i64,
    tclip: Option<f64>,
    step: u64,
    class_names: Vec<String>,
}

/// Reads the file and writes a checkpoint that `eval`, `embed`, `export` and `--warm-start` take.
pub fn run(args: &Args) -> Result<()> {
    if args.out.join("checkpoints").exists() {
        return Err(usage!("`{}` is already a run", args.out.display(); "name another folder with --out"));
    }
    destination::folder(&args.out, Contents::Nothing, None)?;
    let (config, Labels { classes, names: class_names }, step, network) = load(&args.file, args.preset)?;
    let config = Config { out: args.out.clone(), ..config };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    let unfinished = Unfinished::of(&args.out)?;
    config.write(&unfinished.folder.join("config.toml"))?;
    let state = State {
        step,
        position: Position::default(),
        data: DataIdentity { digest: 0, samples: 0 },
        classes,
        class_names,
        config: config.clone(),
    };
    let retention = Retention { keep: 1, keep_every: 0 };
    let path = Checkpoints::of(&unfinished.folder).save(
        &state,
        &network.tensors(),
        &Adam::new(network.vars(), &config.optim).moments(),
        retention,
    )?;
    let path = args.out.join(path.strip_prefix(&unfinished.folder)?);
    unfinished.finish(&args.out).with_context(|| format!("cannot write to `{}`", args.out.display()))?;
    stdout::say(&format!(
        "`{}`: a run of preset {} at step {step}, its checkpoint is `{}`",
        args.out.display(),
        config.preset,
        path.display()
    ))?;
    stdout::print(&json!({
        "run": args.out, "checkpoint": path, "preset": config.preset.to_string(), "classes": classes, "encoder": config.encoder,
    }))
}

/// The model of such a file, on the CPU.
///
/// # Errors
///
/// Where it cannot be read, or is not a whole model: the first tensor that is missing, misshapen or unknown is named.
pub fn open(file: &Path) -> Result<Network> {
    load(file, None).map(|(_, _, _, network)| network)
}

/// A run that is being made, in a folder within its own; removed on drop.
#[derive(Debug)]
struct Unfinished {
    folder: PathBuf,
}

impl Unfinished {
    fn of(run: &Path) -> Result<Self> {
        let folder = files::unfinished(&run.join("import"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(Self { folder })
    }

    /// Puts all of it into the run folder, the checkpoints last: with them it is a run.
    fn finish(self, run: &Path) -> io::Result<()> {
        for name in ["config.toml", "checkpoints"] {
            fs::rename(self.folder.join(name), run.join(name))?;
        }
        shards::sync_folder(run)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder); // what cannot be removed says by its name what it is
    }
}

/// What labels a model was trained on.
struct Labels {
    classes: Option<u32>,
    names: Vec<String>,
}

/// Settings, labels, step and model of a file.
fn load(file: &Path, preset: Option<Preset>) -> Result<(Config, Labels, u64, Network)> {
    let shown = file.display();
    if file.is_dir() {
        return Err(usage!(
            "`{shown}` is a folder; only files are imported";
            "do not import a run folder: name it with --checkpoint or --warm-start"
        ));
    }
    let bytes = fs::read(file).map_err(|error| usage!("cannot read `{shown}`: {error}"))?;
    let foreign = read(&bytes).with_context(|| format!("`{shown}`"))?;
    let preset = match preset {
        Some(preset) if i64::from(preset.side()) != foreign.side => {
            return Err(usage!(
                "preset {preset} has images of {} pixels, the encoder in `{shown}` those of {}", preset.side(), foreign.side;
                "leave out --preset"
            ));
        }
        Some(preset) => preset,
        None => preset_of(foreign.side)?,
    };
    let mut config = Config::preset(preset);
    config.encoder = foreign.encoder.clone();
    if let Some(tclip) = foreign.tclip {
        let MethodConfig::Amdim(method) = &mut config.method;
        method.tclip = tclip;
    }
    check_sizes(&foreign).and_then(|()| config.check()).with_context(|| format!("`{shown}`"))?;
    let classes = first(&foreign, PROBE).map(|classes| classes as u32);
    let network = Network::new(&config, classes, Device::Cpu)?;
    take_over(&foreign.tensors, &network.tensors()).with_context(|| format!("`{shown}`"))?;
    ensure!(network.is_finite(), "`{shown}` holds numbers that are not finite");
    Ok((config, Labels { classes, names: foreign.class_names }, foreign.step, network))
}

/// A model by what the file is, whatever it is called.
///
/// # Errors
///
/// What is neither an export nor a checkpoint of the reference, and what is damaged.
pub fn read(bytes: &[u8]) -> Result<Foreign> {
    // A safetensors file begins with a length, which may be any bytes.
    match SafeTensors::read_metadata(bytes) {
        Ok((_, header)) => safetensors(bytes, &header),
        Err(_) if bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]) || bytes.starts_with(b"L") => {
            pth::read(bytes)
        }
        Err(_) => bail!("it is neither a safetensors file nor what `torch.save` writes"),
    }
}

/// An export of ours.
fn safetensors(bytes: &[u8], header: &Metadata) -> Result<Foreign> {
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get(export::METADATA));
    let metadata = metadata
        .context("it was not made by `amdim-stream export`: its metadata do not say which encoder it is")?;
    let description: Description = serde_json::from_str(metadata).context("its metadata are damaged")?;
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let kind = crate::checkpoint::kind_of(view.dtype())
            .with_context(|| format!("`{name}` is {:?}", view.dtype()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        insert(&mut tensors, &name, Tensor::from_data_size(view.data(), &shape, kind))?;
    }
    let Description { encoder, side, step, tclip, class_names, .. } = description;
    Ok(Foreign { tensors, encoder, side: side.into(), tclip, step, class_names })
}

/// Takes up a tensor under our name: without the wrappers of `DataParallel` and `torch.compile`, around its encoder (as the
/// reference has one), around the whole, or within each other.
fn insert(tensors: &mut BTreeMap<String, Tensor>, name: &str, tensor: Tensor) -> Result<()> {
    let parts = name.split('.').filter(|part| !["module", "_orig_mod"].contains(part));
    let own = parts.collect::<Vec<_>>().join(".");
    ensure!(tensors.insert(own.clone(), tensor).is_none(), "`{own}` is there twice, once as `{name}`");
    Ok(())
}

/// The probe's last layer, which has a row for each class.
const PROBE: &str = "evaluator.block_glb_lin.block_forward.2.weight";

/// The first side of a tensor.
fn first(foreign: &Foreign, name: &str) -> Option<i64> {
    foreign.tensors.get(name)?.size().first().copied()
}

/// A model is made of the size that a file claims: not before a tensor of each size, and as many numbers, are seen.
///
/// # Errors
///
/// What does not hold what it claims.
pub fn check_sizes(foreign: &Foreign) -> Result<()> {
    let encoder::amdim::Config { ndf, n_rkhs, n_depth, .. } = foreign.encoder;
    for (name, size) in
        [("encoder.layer_list.0.conv.weight", ndf), ("encoder.rkhs_block_7.conv2.weight", n_rkhs)]
    {
        let found = first(foreign, name).with_context(|| format!("`{name}` is missing"))?;
        ensure!(found == size, "`{name}` is of size {found}, not {size} as the file says of its encoder");
    }
    let has_layer = |layer: i64| {
        let name = format!(".layer_list.{layer}.conv2.weight");
        foreign.tensors.keys().any(|tensor| tensor.ends_with(&name))
    };
    ensure!(
        (1..1000).contains(&n_depth) && has_layer(n_depth - 1),
        "it says that its blocks have {n_depth} layers, but has no such tensors"
    );
    // Less than any model of this size holds, but by a factor that is the same for all.
    let product = |factors: [i64; 3]| factors.into_iter().fold(1, i64::saturating_mul);
    let classes = first(foreign, PROBE).unwrap_or(0);
    let least = [[n_rkhs, n_rkhs, 1], [ndf, ndf, 16 * n_depth], [n_rkhs, classes, 1]];
    let least = least.map(product).into_iter().fold(0, i64::saturating_add);
    let numbers: usize = foreign.tensors.values().map(Tensor::numel).sum();
    ensure!(
        i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
        "its {numbers} numbers are too few for an encoder of ndf {ndf}, n_rkhs {n_rkhs} and n_depth {n_depth}"
    );
    Ok(())
}

fn preset_of(side: i64) -> Result<Preset> {
    Ok(match side {
        32 => Preset::C10,
        64 => Preset::Stl10,
        128 => Preset::In128,
        other => bail!("an encoder of images of {other} pixels; there are those of 32, 64 and 128"),
    })
}

/// Copies every tensor of the model from the file: all have to be there in the right shape, but for constants, and for what batch
/// norms of before PyTorch 0.4.1 did not count.
fn take_over(tensors: &BTreeMap<String, Tensor>, model: &Named) -> Result<()> {
    let may_be_missing = |name: &str| name.starts_with("g2l_loss.") || name.ends_with(".num_batches_tracked");
    for (name, target) in model {
        let Some(tensor) = tensors.get(name) else {
            ensure!(may_be_missing(name), "`{name}` is missing");
            continue;
        };
        ensure!(
            tensor.size() == target.size(),
            "`{name}` has shape {:?} instead of {:?}",
            tensor.size(),
            target.size()
        );
        ensure!(
            tensor.is_floating_point() == target.is_floating_point(),
            "`{name}` is {:?} instead of {:?}",
            tensor.kind(),
            target.kind()
        );
        tch::no_grad(|| target.shallow_clone().copy_(&tensor.to_kind(target.kind())));
    }
    let foreign = tensors.keys().find(|name| !model.contains_key(*name));
    match foreign {
        Some(name) => bail!("`{name}` is no tensor of this encoder"),
        None => Ok(()),
    }
}
