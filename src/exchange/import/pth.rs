//! Reads checkpoints of `torch.save`: zip files since PyTorch 1.6, a stream of pickles and numbers before.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{Cursor, Read},
};

use anyhow::{Context, Result, bail, ensure};
use tch::{Kind, Tensor};

use super::pickle::{self, Pickle, Value};

/// The numbers of one storage.
struct Storage {
    kind: Kind,
    /// A tensor (n) of all numbers.
    numbers: Tensor,
}

type Storages = HashMap<String, Storage>;

/// The contents of a file of `torch.save`.
pub(super) struct Saved {
    pub(super) pickle: Pickle,
    storages: Storages,
    /// The bytes of the file.
    size: usize,
}

/// The type and the number of elements of a storage.
#[derive(Debug, Clone, Copy)]
struct Layout {
    kind: Kind,
    count: i64,
}

impl Layout {
    /// Returns the size of the storage in bytes.
    fn bytes(self) -> Result<usize> {
        let count = usize::try_from(self.count).ok();
        let bytes = count.and_then(|count| count.checked_mul(self.kind.elt_size_in_bytes()));
        bytes.context("the length of a storage is impossible")
    }

    /// Reads a storage, and fails if `bytes` has another size.
    fn storage(self, bytes: &[u8]) -> Result<Storage> {
        let Self { kind, count } = self;
        let expected = self.bytes()?;
        ensure!(bytes.len() == expected, "a storage has {} bytes instead of {expected}", bytes.len());
        Ok(Storage { kind, numbers: Tensor::from_data_size(bytes, &[count], kind) })
    }
}

impl Saved {
    /// Reads a file of any version of `torch.save`.
    pub(super) fn open(bytes: &[u8]) -> Result<Self> {
        let (pickle, storages) = if bytes.starts_with(b"PK") { zipped(bytes)? } else { stream(bytes)? };
        Ok(Self { pickle, storages, size: bytes.len() })
    }

    /// Returns all tensors in dictionaries within dictionaries, by their keys joined by dots.
    pub(super) fn named(&self) -> Vec<(String, &Value)> {
        /// The levels of dictionaries that are searched.
        const DEPTH: usize = 8;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut open = vec![(String::new(), &self.pickle.root, 0)];
        while let Some((prefix, value, depth)) = open.pop() {
            for (key, value) in self.pickle.pairs(value) {
                let Some(key) = key.text() else { continue };
                let name = format!("{prefix}{key}");
                match value {
                    Value::Dict(place) if depth < DEPTH && seen.insert(*place) => {
                        open.push((name + ".", value, depth + 1));
                    }
                    Value::Call(..) if construction(&self.pickle, value).is_ok() => found.push((name, value)),
                    _ => (),
                }
            }
        }
        found
    }

    /// Makes tensors. They may share storages, but together they have no more numbers than the file has
    /// bytes, so that a small file cannot expand to a large model.
    ///
    /// # Errors
    ///
    /// If a value is not a tensor, or is damaged.
    pub(super) fn tensors<'a>(
        &self,
        named: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Vec<(String, Tensor)>> {
        let mut numbers = 0;
        let make = |(name, value): (&str, &Value)| {
            let tensor = tensor(&self.pickle, value, &self.storages).with_context(|| format!("`{name}`"))?;
            numbers += tensor.numel();
            ensure!(numbers <= self.size, "its tensors have more numbers than the file can hold");
            Ok((name.to_owned(), tensor))
        };
        named.into_iter().map(make).collect()
    }
}

/// Reads the format of PyTorch 1.6 and later: a zip file without compression.
fn zipped(bytes: &[u8]) -> Result<(Pickle, Storages)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).context("the zip file is damaged")?;
    let data = archive.file_names().find(|name| name.ends_with("/data.pkl"));
    let data = data.context("it has no data.pkl")?.to_owned();
    let folder = data.trim_end_matches("data.pkl").to_owned();
    let mut member = |name: &str| -> Result<Vec<u8>> {
        let mut file = archive.by_name(name).with_context(|| format!("it has no {name}"))?;
        ensure!(
            file.compression() == zip::CompressionMethod::Stored,
            "{name} is compressed, which `torch.save` never does"
        );
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let pickle = pickle::read(&mut &*member(&data)?)?;
    let mut storages = Storages::new();
    let mut left = bytes.len();
    for (key, layout) in layouts(&pickle)? {
        let bytes = member(&format!("{folder}data/{key}"))?;
        left = left.checked_sub(bytes.len()).context("its storages overlap")?;
        storages.insert(key, layout.storage(&bytes)?);
    }
    Ok((pickle, storages))
}

/// Reads the format before PyTorch 1.6: pickles of a magic number, a version and facts of the machine; then
/// pickles of the value and of the keys of the storages; then the storages in that order, each with its
/// length in front.
fn stream(bytes: &[u8]) -> Result<(Pickle, Storages)> {
    /// The lowest eight bytes of 0x1950a86a20f9469cfc6c.
    const MAGIC: i64 = 0xa86a_20f9_469c_fc6cu64.cast_signed();
    let mut rest = bytes;
    let magic = pickle::read(&mut rest)?.root.int();
    ensure!(magic == Some(MAGIC), "it is a pickle, but not one of `torch.save`");
    for _ in 0..2 {
        pickle::read(&mut rest)?;
    }
    let pickle = pickle::read(&mut rest)?;
    let keys = pickle::read(&mut rest)?;
    let layouts = layouts(&pickle)?;
    let mut storages = Storages::new();
    for key in keys.items(&keys.root) {
        let key = key.text().context("the key of a storage is not a text")?.to_owned();
        let Layout { kind, .. } =
            *layouts.get(&key).with_context(|| format!("storage {key} belongs to no tensor"))?;
        let (length, behind) = rest.split_first_chunk().context("it ends early")?;
        let layout = Layout { kind, count: i64::from_le_bytes(*length) };
        let (numbers, behind) = behind.split_at_checked(layout.bytes()?).context("it ends early")?;
        storages.insert(key, layout.storage(numbers)?);
        rest = behind;
    }
    Ok((pickle, storages))
}

/// Returns the layout of each storage that the pickle refers to, by its key.
fn layouts(pickle: &Pickle) -> Result<BTreeMap<String, Layout>> {
    let storages = pickle.persistent().filter_map(|outside| storage(pickle, outside));
    storages
        .map(|(class, key, count)| Ok((key.to_owned(), Layout { kind: kind_of(class)?, count })))
        .collect()
}

/// Returns the class, the key and the length of the storage that a persistent value describes.
fn storage<'a>(pickle: &'a Pickle, outside: &Value) -> Option<(&'a str, &'a str, i64)> {
    match pickle.items(pickle.items(outside).first()?) {
        [Value::Text(tag), Value::Named(class), Value::Text(key), _, count, ..] if &**tag == "storage" => {
            Some((class, key, count.int()?))
        }
        _ => None,
    }
}

/// The construction of a tensor in a pickle.
struct Construction<'a> {
    /// The arguments of the constructor.
    arguments: &'a [Value],
    /// The key of the tensor's storage.
    key: String,
    /// The layout of the whole storage.
    layout: Layout,
}

/// Finds the construction of a tensor, or of the tensor in a parameter.
fn construction<'a>(pickle: &'a Pickle, value: &'a Value) -> Result<Construction<'a>> {
    let value = match value {
        Value::Call(function, _) if &**function == "torch._utils._rebuild_parameter" => {
            pickle.items(value).first().context("a parameter has no tensor")?
        }
        value => value,
    };
    let Value::Call(function, _) = value else { bail!("it is not a tensor") };
    let is_tensor =
        ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"].contains(&&**function);
    ensure!(is_tensor, "it is constructed by `{function}`, not as a tensor");
    let arguments = pickle.items(value);
    let Some(outside @ Value::Persistent(_)) = arguments.first() else { bail!("its storage is missing") };
    let (class, key, count) =
        storage(pickle, outside).context("its storage is not described as `torch.save` describes it")?;
    Ok(Construction { arguments, key: key.to_owned(), layout: Layout { kind: kind_of(class)?, count } })
}

fn tensor(pickle: &Pickle, value: &Value, storages: &Storages) -> Result<Tensor> {
    let Construction { arguments, key, layout: Layout { kind, .. } } = construction(pickle, value)?;
    let [_, offset, shape, strides, ..] = arguments else { bail!("its shape is missing") };
    let (offset, shape, strides) = (offset.int(), pickle.ints(shape), pickle.ints(strides));
    let (Some(offset), Some(shape), Some(strides)) = (offset, shape, strides) else {
        bail!("its shape is invalid")
    };
    ensure!(shape.len() == strides.len() && offset >= 0, "its strides do not match its shape");
    ensure!(shape.iter().chain(&strides).all(|number| *number >= 0), "its shape is invalid");
    let storage = storages.get(&key).with_context(|| format!("storage {key} is missing"))?;
    ensure!(storage.kind == kind, "its storage is {:?}, not {kind:?}", storage.kind);
    let length = storage.numbers.size()[0];
    let last = shape
        .iter()
        .zip(&strides)
        .try_fold(offset, |last, (size, stride)| last.checked_add((size - 1).max(0).checked_mul(*stride)?));
    // A stride of zero would expand a small storage to a large tensor.
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
        other => bail!("its storage has the unknown type `{other}`"),
    })
}
