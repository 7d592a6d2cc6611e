//! Pictures, and samples of them.

use pipeline::{Rgb, encode_jpeg};
use shards::{Position, Sample};

/// Makes a smooth picture; each `phase` gives another one.
pub(crate) fn picture(width: u32, height: u32, phase: u32) -> Rgb {
    let mut image = Rgb::black(width, height);
    for (i, value) in image.pixels.iter_mut().enumerate() {
        let (x, y, c) = (i as u32 / 3 % width, i as u32 / 3 / width, i as u32 % 3);
        *value = ((x * (3 + c) + y * (5 - c) + phase * 17) % 256) as u8;
    }
    image
}

/// Makes sample `index` of an endless set of JPEGs of different sizes and costs.
pub(crate) fn sample(index: u64) -> Sample {
    let side = 20 + (index * 37 % 11) as u32 * 25;
    Sample {
        shard: format!("train-{:03}.tar", index / 10).into(),
        key: format!("{index:05}"),
        offset: 512 + 1024 * index,
        index,
        epoch: 0,
        image: encode_jpeg(&picture(side + 7, side, index as u32), 90).unwrap().into(),
        label: (!index.is_multiple_of(5)).then_some(index as u32 % 10),
        next: Position { epoch: 0, offset: index + 1 },
    }
}

/// Makes a sample that is cut in half.
pub(crate) fn damaged(index: u64) -> Sample {
    let whole = sample(index);
    let half = whole.image.read(|bytes| bytes[..bytes.len() / 2].to_vec()).unwrap();
    Sample { image: half.into(), ..whole }
}
