//! Detects, before a run begins, images that training would enlarge.

use pipeline::{Decoder, Preset};
use serde::Serialize;
use shards::{Division, Order, Position, ShardSet, Shuffle};

use crate::{eval, hint::Notice, notice};

/// Images whose headers are read, evenly spread over the set.
const LOOKED_AT: u64 = 32;

/// A set whose images are smaller than the views that are made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Enlarged {
    /// Size of the median image, by the shorter side.
    width: u32,
    height: u32,
    /// The width and height of views, in pixels.
    side: u32,
    /// The largest preset that does not enlarge the median image, or else the smallest preset.
    fitting: Preset,
}

impl Enlarged {
    /// Reads the headers of some images, and returns `None` if at least half of them are large enough. Images
    /// that cannot be read are left out; training reports them.
    pub(crate) fn of(set: &ShardSet, side: u32) -> Option<Self> {
        let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
        let some = eval::evenly(set, LOOKED_AT);
        let decoder = Decoder::new(u64::MAX);
        let size = |bytes: &[u8]| decoder.header(bytes).ok().map(|header| (header.width, header.height));
        let samples = some.samples(order, Division::default(), Position::default());
        let sizes = samples.flatten().filter_map(|sample| sample.image.read(size).ok()?);
        Self::of_sizes(sizes.collect(), side)
    }

    fn of_sizes(mut sizes: Vec<(u32, u32)>, views: u32) -> Option<Self> {
        sizes.sort_by_key(|(width, height)| *width.min(height));
        let &(width, height) = sizes.get(sizes.len() / 2)?;
        let side = width.min(height);
        let fitting = Preset::ALL.into_iter().rfind(|preset| preset.side() <= side).unwrap_or(Preset::C10);
        (fitting.side() < views).then_some(Self { width, height, side: views, fitting })
    }

    /// Returns the warning, with the preset that fits as its hint.
    pub(crate) fn notice(self) -> Notice {
        let Self { width, height, side, fitting } = self;
        notice!(
            "half of the sampled images are no larger than {width}×{height}; views of {side} pixels enlarge them, which costs time \
             and adds no detail";
            "choose --preset {fitting}, which trains on {0} pixels, or set --side {0}", fitting.side()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_smaller_than_the_preset_are_reported_with_the_preset_that_fits() {
        let fitting = |sizes: &[(u32, u32)], preset: Preset| {
            Enlarged::of_sizes(sizes.to_vec(), preset.side()).map(|enlarged| enlarged.fitting)
        };
        assert_eq!(fitting(&[(32, 32)], Preset::In128), Some(Preset::C10));
        assert_eq!(fitting(&[(96, 96)], Preset::In128), Some(Preset::Stl10));
        assert_eq!(fitting(&[(28, 28)], Preset::In128), Some(Preset::C10), "no preset is smaller");
        assert_eq!(fitting(&[(28, 28)], Preset::C10), None);
        assert_eq!(fitting(&[(500, 128)], Preset::In128), None);
        assert_eq!(fitting(&[(500, 40)], Preset::In128), Some(Preset::C10), "by the shorter side");
        assert_eq!(fitting(&[(32, 32), (400, 300), (500, 375)], Preset::In128), None, "one of them is small");
        assert_eq!(fitting(&[], Preset::In128), None);
        let warning = Enlarged::of_sizes(vec![(32, 30)], 128).unwrap().notice();
        assert!(
            warning.message.contains("no larger than 32×30; views of 128 pixels enlarge them")
                && warning.hints[0].contains("--preset c10, which trains on 32 pixels"),
            "{warning}"
        );
    }
}
