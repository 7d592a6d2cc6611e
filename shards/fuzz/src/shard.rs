//! Bytes as a shard.

use std::io::Read;

use shards::{IndexConfig, MemorySource, Order, Position, Sample, ShardSet, Share, Shuffle};

/// Reads all samples of a shard made of `bytes`, and compares them with what the `tar` crate finds where both accept it.
pub fn shard(bytes: &[u8]) {
    let source = MemorySource::new().with("x.tar", bytes.to_vec());
    let Ok(set) = ShardSet::open(source, &IndexConfig::default()) else { return };
    let samples = samples(&set);
    let keys = set.keys(0).map(|keys| keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
    let Ok(samples) = samples else { return };
    let found: Vec<_> = samples.iter().map(|sample| sample.key.clone()).collect();
    assert_eq!(keys.expect("samples were read"), found);
    if set.faults().is_empty()
        && let Some(expected) = by_tar_crate(bytes)
    {
        let found = samples
            .into_iter()
            .map(|sample| (sample.key, sample.image.read(<[u8]>::to_vec).expect("in memory")));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

/// All samples, or the first error.
pub(crate) fn samples(set: &ShardSet) -> shards::Result<Vec<Sample>> {
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    // All of them, so that one that cannot be read does not hide the next.
    let samples: Vec<_> = set.samples(order, Share::default(), Position::default()).collect();
    assert_eq!(samples.len() as u64, set.len());
    samples.into_iter().collect()
}

/// Makes every block that may have been a header one again.
pub fn seal_headers(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Keys and images as the `tar` crate reads them; none where it meets an error, or a form that is read in another way.
fn by_tar_crate(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut found: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let kind = entry.header().entry_type();
        if !matches!(kind, tar::EntryType::Regular | tar::EntryType::Continuous) {
            // Those without data may claim to have some; there opinions differ on where the next header is.
            (entry.size() == 0).then_some(())?;
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let Some((key, extension)) = split(&name) else { continue };
        if found.last().is_none_or(|(last, _)| last != key) {
            found.push((key.to_vec(), None));
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data).ok()?;
        let extension = extension.to_ascii_lowercase();
        if [&b"jpg"[..], b"jpeg", b"png", b"webp"].contains(&&*extension) {
            found.last_mut()?.1.get_or_insert(data);
        }
    }
    let text = |key: Vec<u8>| String::from_utf8_lossy(&key).into_owned();
    Some(found.into_iter().map(|(key, image)| (text(key), image.unwrap_or_default())).collect())
}

/// A name up to the first dot of its base name, and what follows.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let base = name.split(|&byte| byte == b'/').next_back()?;
    let dot = base.iter().position(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
    Some((&name[..name.len() - base.len() + dot], &base[dot + 1..]))
}
