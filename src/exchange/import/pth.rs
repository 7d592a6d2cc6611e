//! Checkpoints as `torch.save` writes them: zip files since PyTorch 1.6, one stream of pickles and numbers before.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Cursor, Read},
};

use anyhow::{Context, Result, bail, ensure};
use tch::{Kind, Tensor};

use super::{
    foreign::{Foreign, insert},
    pickle::{self, Pickle, Value},
};
use crate::{
    encoder,
    method::{MethodConfig, amdim},
};

/// Numbers of one storage.
struct Storage {
    kind: Kind,
    /// All of them, (n).
    numbers: Tensor,
}

/// A checkpoint of the reference: `{model, hyperparams, cursor}`.
pub(super) fn read(bytes: &[u8]) -> Result<Foreign> {
    let (pickle, storages) = if bytes.starts_with(b"PK") { zipped(bytes)? } else { stream(bytes)? };
    let model = pickle.get(&pickle.root, "model");
    let model = model.context("it holds no `model`: it is no checkpoint of the reference")?;
    let mut tensors = BTreeMap::new();
    let mut numbers = 0;
    for (name, value) in pickle.pairs(model) {
        let name = name.text().context("a tensor's name is no text")?;
        let tensor = tensor(&pickle, value, &storages).with_context(|| format!("`{name}`"))?;
        // Tensors may share a storage, but not so that much is made of little.
        numbers += tensor.numel();
        ensure!(numbers <= bytes.len(), "its tensors share their numbers too often");
        insert(&mut tensors, name, tensor)?;
    }
    let parameters = pickle.get(&pickle.root, "hyperparams").context("it holds no `hyperparams`")?;
    let number = |name: &str| {
        let number = pickle.get(parameters, name).and_then(|value| pickle.int(value));
        number.with_context(|| format!("its `hyperparams` do not say `{name}`"))
    };
    let encoder = encoder::amdim::Config {
        ndf: number("ndf")?,
        n_rkhs: number("n_rkhs")?,
        n_depth: number("n_depth")?,
        // The reference's loader does not ask for it, and builds an encoder without.
        use_bn: number("use_bn").unwrap_or(0) != 0,
    };
    let tclip = pickle.get(parameters, "tclip").and_then(|value| pickle.float(value));
    let mut method = amdim::Config::default();
    method.tclip = tclip.unwrap_or(method.tclip);
    Ok(Foreign {
        tensors,
        encoder: encoder.into(),
        method: MethodConfig::Amdim(method),
        side: number("encoder_size")?,
        step: 0,
        class_names: Vec::new(),
    })
}

type Storages = HashMap<String, Storage>;

/// The format of PyTorch 1.6 and later. Nothing in it is compressed.
fn zipped(bytes: &[u8]) -> Result<(Pickle, Storages)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).context("it is no whole zip file")?;
    let data = archive.file_names().find(|name| name.ends_with("/data.pkl"));
    let data = data.context("it has no data.pkl")?.to_owned();
    let folder = data.trim_end_matches("data.pkl").to_owned();
    let mut member = |name: &str| -> Result<Vec<u8>> {
        let mut file = archive.by_name(name).with_context(|| format!("it has no {name}"))?;
        ensure!(
            file.compression() == zip::CompressionMethod::Stored,
            "{name} is compressed, as `torch.save` does not"
        );
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let pickle = pickle::read(&mut &*member(&data)?)?;
    let mut storages = Storages::new();
    let mut left = bytes.len();
    for (key, (kind, count)) in named_storages(&pickle)? {
        let bytes = member(&format!("{folder}data/{key}"))?;
        left = left.checked_sub(bytes.len()).context("its storages lie on top of each other")?;
        storages.insert(key, storage(kind, count, &bytes)?);
    }
    Ok((pickle, storages))
}

/// The format before PyTorch 1.6: a magic number, a version and facts of the machine, each a pickle, then the value, the keys of
/// the storages, and the storages themselves in that order, each with its length.
fn stream(bytes: &[u8]) -> Result<(Pickle, Storages)> {
    /// The lowest eight bytes of 0x1950a86a20f9469cfc6c.
    const MAGIC: i64 = 0xa86a_20f9_469c_fc6cu64.cast_signed();
    let mut rest = bytes;
    let magic = pickle::read(&mut rest)?.root.int();
    ensure!(magic == Some(MAGIC), "it is a pickle, but none that `torch.save` writes");
    for _ in 0..2 {
        pickle::read(&mut rest)?;
    }
    let pickle = pickle::read(&mut rest)?;
    let keys = pickle::read(&mut rest)?;
    let kinds = named_storages(&pickle)?;
    let mut storages = Storages::new();
    for key in keys.items(&keys.root) {
        let key = key.text().context("a storage's key is no text")?.to_owned();
        let (kind, _) = *kinds.get(&key).with_context(|| format!("storage {key} belongs to no tensor"))?;
        let (length, behind) = rest.split_first_chunk().context("it ends early")?;
        let count = i64::from_le_bytes(*length);
        let (numbers, behind) = behind.split_at_checked(size(kind, count)?).context("it ends early")?;
        storages.insert(key, storage(kind, count, numbers)?);
        rest = behind;
    }
    Ok((pickle, storages))
}

/// Kind and length of each storage that the value's tensors lie in, by its key.
fn named_storages(pickle: &Pickle) -> Result<BTreeMap<String, (Kind, i64)>> {
    let model = pickle.get(&pickle.root, "model").cloned().unwrap_or(Value::None);
    let named = pickle.pairs(&model).map(|(_, value)| {
        let (_, key, kind, count) = rebuilt(pickle, value)?;
        Ok((key, (kind, count)))
    });
    named.collect()
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
fn rebuilt<'a>(pickle: &'a Pickle, value: &'a Value) -> Result<(&'a [Value], String, Kind, i64)> {
    let value = match value {
        Value::Call(function, _) if &**function == "torch._utils._rebuild_parameter" => {
            pickle.items(value).first().context("a parameter of nothing")?
        }
        value => value,
    };
    let Value::Call(function, _) = value else { bail!("it is no tensor") };
    let is_tensor =
        ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"].contains(&&**function);
    ensure!(is_tensor, "it is made by `{function}`");
    let arguments = pickle.items(value);
    let Some(outside @ Value::Persistent(_)) = arguments.first() else { bail!("its storage is missing") };
    let storage = pickle.items(outside).first().map_or(&[][..], |storage| pickle.items(storage));
    let [Value::Text(tag), Value::Named(class), Value::Text(key), _, count, ..] = storage else {
        bail!("its storage is not said as `torch.save` does");
    };
    ensure!(&**tag == "storage", "its storage is a `{tag}`");
    let count = count.int().context("its storage has no length")?;
    Ok((arguments, (**key).to_owned(), kind_of(class)?, count))
}

fn tensor(pickle: &Pickle, value: &Value, storages: &Storages) -> Result<Tensor> {
    let (arguments, key, kind, _) = rebuilt(pickle, value)?;
    let [_, offset, shape, strides, ..] = arguments else { bail!("its shape is missing") };
    let (offset, shape, strides) = (offset.int(), pickle.ints(shape), pickle.ints(strides));
    let (Some(offset), Some(shape), Some(strides)) = (offset, shape, strides) else {
        bail!("its shape is no shape")
    };
    ensure!(shape.len() == strides.len() && offset >= 0, "shape and strides do not fit");
    ensure!(shape.iter().chain(&strides).all(|number| *number >= 0), "its shape is no shape");
    let storage = storages.get(&key).with_context(|| format!("storage {key} is missing"))?;
    ensure!(storage.kind == kind, "its storage is {:?}, not {kind:?}", storage.kind);
    let length = storage.numbers.size()[0];
    let last = shape
        .iter()
        .zip(&strides)
        .try_fold(offset, |last, (size, stride)| last.checked_add((size - 1).max(0).checked_mul(*stride)?));
    // A stride of zero would make much of little.
    let count = shape.iter().try_fold(1i64, |count, size| count.checked_mul(*size));
    let fits = last.is_some_and(|last| last < length) && count.is_some_and(|count| count <= length);
    ensure!(fits || count == Some(0), "it reaches beyond its storage");
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
