//! Colour spaces that separate lightness from colour.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The assignment of an image's channels to networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// One network encodes red, green and blue.
    #[default]
    None,
    /// Two networks: one for L, one for a and b of the colour space Lab (sRGB gamma, D65).
    Lab,
    /// Two networks: one for Y, one for Cb and Cr of the colour space `YCbCr` (ITU-R BT.601).
    Ycbcr,
}

/// The mean and the standard deviation of the three channels of a colour space.
type Moments = [(f64, f64); 3];

/// The moments of Lab, which bring L, a and b into the range from −1 to 1 for all colours.
const LAB: Moments = [(50.0, 50.0), (6.025, 92.208), (-6.6895, 101.1675)];
/// The moments of `YCbCr` in the reference implementation of CMC.
const YCBCR: Moments = [(116.151, 109.5), (121.08, 111.855), (132.342, 111.964)];

impl Split {
    /// Returns the lightness (n, 1, h, w) and the colour (n, 2, h, w) of images (n, 3, h, w), whose red,
    /// green and blue are from 0 to 1. The channels are normalized.
    ///
    /// # Panics
    ///
    /// If images are not split.
    pub fn channels(self, images: &Tensor) -> [Tensor; 2] {
        let rgb = [0, 1, 2].map(|channel| images.select(1, channel));
        let (channels, moments) = match self {
            Self::None => unreachable!("images are split"),
            Self::Lab => (lab(&rgb), LAB),
            Self::Ycbcr => (ycbcr(&rgb), YCBCR),
        };
        let normalized = |channel: usize| (&channels[channel] - moments[channel].0) / moments[channel].1;
        // Channels are the innermost dimension in memory, as convolutions want them.
        let joined = |channels: &[Tensor]| Tensor::stack(channels, -1).permute([0, 3, 1, 2]);
        [joined(&[normalized(0)]), joined(&[normalized(1), normalized(2)])]
    }
}

/// Returns the sum of three channels with these weights.
fn weighted(channels: &[Tensor; 3], weights: [f64; 3]) -> Tensor {
    &channels[0] * weights[0] + &channels[1] * weights[1] + &channels[2] * weights[2]
}

/// Returns L, a and b of red, green and blue from 0 to 1.
fn lab(rgb: &[Tensor; 3]) -> [Tensor; 3] {
    let linear = rgb.each_ref().map(|v| {
        let power: Tensor = ((v + 0.055) / 1.055).pow_tensor_scalar(2.4);
        power.where_self(&v.gt(0.04045), &(v / 12.92))
    });
    let f = [
        [0.412_453 / 0.95047, 0.357_580 / 0.95047, 0.180_423 / 0.95047],
        [0.212_671, 0.715_160, 0.072_169],
        [0.019_334 / 1.08883, 0.119_193 / 1.08883, 0.950_227 / 1.08883],
    ]
    .map(|weights| {
        let t = weighted(&linear, weights);
        t.pow_tensor_scalar(1.0 / 3.0).where_self(&t.gt(0.008_856), &(&t * 7.787 + 16.0 / 116.0))
    });
    let [x, y, z] = f;
    [&y * 116.0 - 16.0, (x - &y) * 500.0, (y - z) * 200.0]
}

/// Returns Y, Cb and Cr of red, green and blue from 0 to 1.
fn ycbcr(rgb: &[Tensor; 3]) -> [Tensor; 3] {
    [
        weighted(rgb, [65.481, 128.553, 24.966]) + 16.0,
        weighted(rgb, [-37.797, -74.203, 112.0]) + 128.0,
        weighted(rgb, [112.0, -93.786, -18.214]) + 128.0,
    ]
}
