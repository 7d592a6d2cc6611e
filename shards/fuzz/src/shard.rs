//! Bytes as a shard.

use std::io::Read;

use shards::{Division, IndexConfig, MemorySource, Order, Position, Sample, ShardSet, Shuffle};

/// Reads all samples of a shard made of `bytes`, and compares them with the images that the `tar` crate finds
/// if both accept it.
pub fn shard(bytes: &[u8]) {
    let source = MemorySource::new().with("x.tar", bytes.to_vec());
    let Ok(set) = ShardSet::open(source, &IndexConfig::default()) else { return };
    let samples = samples(&set);
    let keys = set.keys(0).map(|keys| keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
    let Ok(samples) = samples else { return };
    let found: Vec<_> = samples.iter().map(|sample| sample.key.clone()).collect();
    assert_eq!(keys.expect("the samples were read before"), found);
    if set.faults().is_empty()
        && let Some(others) = by_tar_crate(bytes)
    {
        let own = samples.into_iter().map(|sample| Image {
            key: sample.key,
            bytes: sample.image.read(<[u8]>::to_vec).expect("memory can be read"),
        });
        compare(own.collect(), others);
    }
}

/// An image, with its name up to the last dot.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Image {
    key: String,
    bytes: Vec<u8>,
}

/// The images and links that the `tar` crate finds.
struct Others {
    images: Vec<Image>,
    /// Names of links up to the last dot.
    links: Vec<String>,
}

/// Checks that every sample is an image of the other reader, and that each further image of that reader, such
/// as a mask, shares its name up to the first dot with a sample.
fn compare(mut own: Vec<Image>, mut others: Others) {
    let is_file = |image: &Image| !others.links.contains(&image.key);
    own.retain(is_file);
    others.images.retain(is_file);
    others.images.sort();
    for image in &own {
        let found = others.images.binary_search(image);
        others.images.remove(found.unwrap_or_else(|_| panic!("{image:?} is not in {:?}", others.images)));
    }
    for other in others.images {
        let short = |key: &str| split(key.as_bytes(), |dots| dots.next()).map(|(short, _)| short.to_vec());
        let name = format!("{}.jpg", other.key);
        let is_near = |image: &Image| short(&format!("{}.jpg", image.key)) == short(&name);
        assert!(own.iter().any(is_near), "{other:?} is lost: {own:?}");
    }
}

/// Returns all samples, or the first error.
pub(crate) fn samples(set: &ShardSet) -> shards::Result<Vec<Sample>> {
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    // All samples are read, so that an unreadable one does not hide the next.
    let samples: Vec<_> = set.samples(order, Division::default(), Position::default()).collect();
    assert_eq!(samples.len() as u64, set.len());
    samples.into_iter().collect()
}

/// Corrects the checksum of every block that may have been a header.
pub fn seal_headers(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Reads images with the `tar` crate; `None` for errors and for forms that it reads differently.
fn by_tar_crate(bytes: &[u8]) -> Option<Others> {
    let mut others = Others { images: Vec::new(), links: Vec::new() };
    let mut archive = tar::Archive::new(bytes);
    archive.set_ignore_zeros(true);
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let kind = entry.header().entry_type();
        let is_file = matches!(kind, tar::EntryType::Regular | tar::EntryType::Continuous);
        // Members without data may give a size; readers differ on where the next header is then.
        (is_file || entry.size() == 0).then_some(())?;
        let name = entry.path_bytes().into_owned();
        (!name.contains(&0)).then_some(())?; // readers also differ on names with a zero byte
        let Some((key, extension)) = split(&name, |dots| dots.next_back()) else { continue };
        if ![&b"jpg"[..], b"jpeg", b"png", b"webp"].contains(&&*extension.to_ascii_lowercase()) {
            continue;
        }
        let key = String::from_utf8_lossy(key).into_owned();
        if !is_file {
            others.links.push(key);
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).ok()?;
        others.images.push(Image { key, bytes });
    }
    Some(others)
}

/// Splits a name at one of the dots of its base name; `None` for hidden files.
fn split(
    name: &[u8],
    dot: fn(&mut dyn DoubleEndedIterator<Item = usize>) -> Option<usize>,
) -> Option<(&[u8], &[u8])> {
    let base = name.len() - name.split(|&byte| byte == b'/').next_back()?.len();
    let dots = || (base..name.len()).filter(|&at| name[at] == b'.');
    dots().next().filter(|&first| first > base)?;
    let dot = dot(&mut dots())?;
    Some((&name[..dot], &name[dot + 1..]))
}
