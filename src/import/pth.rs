//! Checkpoints as `torch.save` writes them: zip files since PyTorch 1.6, one stream of pickles and numbers before.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Cursor, Read},
};

use anyhow::{Context, Result, bail, ensure};
use tch::{Kind, Tensor};

use super::{
    Foreign, own_name,
    pickle::{self, Value},
};
use crate::model;

/// Numbers of one storage.
struct Storage {
    kind: Kind,
    /// All of them, (n).
    numbers: Tensor,
}

/// A checkpoint of the reference: `{model, hyperparams, cursor}`.
pub(super) fn read(bytes: &[u8]) -> Result<Foreign> {
    let (value, storages) = if bytes.starts_with(b"PK") { zipped(bytes)? } else { stream(bytes)? };
    let model = value.get("model").context("it holds no `model`: it is no checkpoint of the reference")?;
    let Value::Dict(entries) = &model else { bail!("its `model` is no dictionary") };
    let mut tensors = BTreeMap::new();
    for (name, value) in entries.borrow().iter() {
        let name = name.text().context("a tensor's name is no text")?;
        let tensor = tensor(value, &storages).with_context(|| format!("`{name}`"))?;
        tensors.insert(own_name(name), tensor);
    }
    let parameters = value.get("hyperparams").context("it holds no `hyperparams`")?;
    let number = |name: &str| {
        let number = parameters.get(name).and_then(|value| value.int());
        number.with_context(|| format!("its `hyperparams` do not say `{name}`"))
    };
    let encoder = model::amdim::Config {
        ndf: number("ndf")?,
        n_rkhs: number("n_rkhs")?,
        n_depth: number("n_depth")?,
        use_bn: number("use_bn")? != 0,
    };
    let positive =
        [encoder.ndf, encoder.n_rkhs, encoder.n_depth].iter().all(|size| (1..1 << 20).contains(size));
    ensure!(positive, "its `hyperparams` are no sizes: {encoder:?}");
    Ok(Foreign { tensors, encoder, side: number("encoder_size")?, step: 0 })
}

type Storages = HashMap<String, Storage>;

/// The format of PyTorch 1.6 and later.
fn zipped(bytes: &[u8]) -> Result<(Value, Storages)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).context("it is no whole zip file")?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let data = names.iter().find(|name| name.ends_with("/data.pkl")).context("it has no data.pkl")?;
    let folder = data.trim_end_matches("data.pkl").to_owned();
    let mut pickled = Vec::new();
    archive.by_name(data)?.read_to_end(&mut pickled)?;
    let value = pickle::read(&mut &*pickled)?;
    let mut storages = Storages::new();
    for (key, kind, count) in named_storages(&value)? {
        let mut bytes = Vec::new();
        archive
            .by_name(&format!("{folder}data/{key}"))
            .with_context(|| format!("storage {key}"))?
            .take(size(kind, count)? as u64)
            .read_to_end(&mut bytes)?;
        storages.insert(key, storage(kind, count, &bytes)?);
    }
    Ok((value, storages))
}

/// The format before PyTorch 1.6: a magic number, a version and facts of the machine, each a pickle, then the value, the keys of
/// the storages, and the storages themselves in that order, each with its length.
fn stream(bytes: &[u8]) -> Result<(Value, Storages)> {
    /// The lowest eight bytes of 0x1950a86a20f9469cfc6c.
    const MAGIC: i64 = 0xa86a_20f9_469c_fc6cu64.cast_signed();
    let mut rest = bytes;
    let magic = pickle::read(&mut rest)?.int();
    ensure!(magic == Some(MAGIC), "it is a pickle, but none that `torch.save` writes");
    for _ in 0..2 {
        pickle::read(&mut rest)?;
    }
    let value = pickle::read(&mut rest)?;
    let Value::List(keys) = pickle::read(&mut rest)? else { bail!("the list of its storages is missing") };
    let kinds: HashMap<_, _> =
        named_storages(&value)?.into_iter().map(|(key, kind, count)| (key, (kind, count))).collect();
    let mut storages = Storages::new();
    for key in keys.borrow().iter() {
        let key = key.text().context("a storage's key is no text")?.to_owned();
        let (kind, _) = *kinds.get(&key).with_context(|| format!("storage {key} belongs to no tensor"))?;
        let (length, behind) = rest.split_first_chunk().context("it ends early")?;
        let count = i64::from_le_bytes(*length);
        let (numbers, behind) = behind.split_at_checked(size(kind, count)?).context("it ends early")?;
        storages.insert(key, storage(kind, count, numbers)?);
        rest = behind;
    }
    Ok((value, storages))
}

/// Key, kind and length of each storage that the value's tensors lie in.
fn named_storages(value: &Value) -> Result<Vec<(String, Kind, i64)>> {
    let mut found = Vec::new();
    let model = value.get("model").unwrap_or(Value::None);
    let Value::Dict(entries) = &model else { return Ok(found) };
    for (_, value) in entries.borrow().iter() {
        let (_, key, kind, count) = rebuilt(value)?;
        found.push((key, kind, count));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(found)
}

fn size(kind: Kind, count: i64) -> Result<usize> {
    let size = usize::try_from(count).ok().and_then(|count| count.checked_mul(kind.elt_size_in_bytes()));
    size.context("a storage of impossible length")
}

fn storage(kind: Kind, count: i64, bytes: &[u8]) -> Result<Storage> {
    ensure!(
        bytes.len() == size(kind, count)?,
        "a storage has {} bytes instead of {}",
        bytes.len(),
        size(kind, count)?
    );
    Ok(Storage { kind, numbers: Tensor::from_data_size(bytes, &[count], kind) })
}

/// The arguments that a tensor is made of, its storage's key, kind and length.
fn rebuilt(value: &Value) -> Result<(std::rc::Rc<Vec<Value>>, String, Kind, i64)> {
    let Value::Call(function, arguments) = value else { bail!("it is no tensor") };
    if &**function == "torch._utils._rebuild_parameter" {
        return rebuilt(arguments.first().context("a parameter of nothing")?);
    }
    ensure!(&**function == "torch._utils._rebuild_tensor_v2", "it is made by `{function}`");
    let Some(Value::Persistent(storage)) = arguments.first() else { bail!("its storage is missing") };
    let Value::Tuple(storage) = &**storage else { bail!("its storage is not said") };
    let [Value::Text(tag), Value::Named(class), Value::Text(key), _, count, ..] = &storage[..] else {
        bail!("its storage is not said as `torch.save` does");
    };
    ensure!(&**tag == "storage", "its storage is a `{tag}`");
    let count = count.int().context("its storage has no length")?;
    Ok((arguments.clone(), (**key).to_owned(), kind_of(class)?, count))
}

fn tensor(value: &Value, storages: &Storages) -> Result<Tensor> {
    let (arguments, key, kind, _) = rebuilt(value)?;
    let [_, offset, shape, strides, ..] = &arguments[..] else { bail!("its shape is missing") };
    let (offset, shape, strides) = (offset.int(), shape.ints(), strides.ints());
    let (Some(offset), Some(shape), Some(strides)) = (offset, shape, strides) else {
        bail!("its shape is no shape")
    };
    ensure!(shape.len() == strides.len() && offset >= 0, "shape and strides do not fit");
    ensure!(shape.iter().chain(&strides).all(|number| *number >= 0), "its shape is no shape");
    let storage = storages.get(&key).with_context(|| format!("storage {key} is missing"))?;
    ensure!(storage.kind == kind, "its storage is {:?}, not {kind:?}", storage.kind);
    let last = shape
        .iter()
        .zip(&strides)
        .try_fold(offset, |last, (size, stride)| last.checked_add((size - 1).max(0).checked_mul(*stride)?));
    let fits = last.is_some_and(|last| last < storage.numbers.size()[0]);
    ensure!(fits || shape.contains(&0), "it reaches beyond its storage");
    Ok(storage.numbers.as_strided(&shape, &strides, offset).contiguous())
}

fn kind_of(class: &str) -> Result<Kind> {
    Ok(match class {
        "torch.FloatStorage" => Kind::Float,
        "torch.DoubleStorage" => Kind::Double,
        "torch.HalfStorage" => Kind::Half,
        "torch.BFloat16Storage" => Kind::BFloat16,
        "torch.LongStorage" => Kind::Int64,
        "torch.IntStorage" => Kind::Int,
        "torch.ByteStorage" => Kind::Uint8,
        "torch.BoolStorage" => Kind::Bool,
        other => bail!("its numbers lie in a `{other}`"),
    })
}
