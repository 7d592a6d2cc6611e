//! Groups of datasets: side, recipes, normalization and schedule of each.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Filter, Op, Recipe, Result};

/// A group of datasets that share the size of views and the schedule. All but [`In224`](Self::In224) are those
/// of AMDIM (Bachman et al. 2019, <https://arxiv.org/abs/1906.00910>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// CIFAR-10 and CIFAR-100: 32 pixels, without resizing.
    C10,
    /// STL-10: 64 pixels.
    Stl10,
    /// ImageNet and Places205: 128 pixels.
    #[default]
    In128,
    /// ImageNet: 224 pixels, the size of most methods other than AMDIM.
    In224,
}

impl Preset {
    /// All presets, by their sides.
    pub const ALL: [Self; 4] = [Self::C10, Self::Stl10, Self::In128, Self::In224];

    /// Returns AMDIM's recipe for training: two views that share the flip; all other randomness is drawn for
    /// each.
    pub fn recipe(self) -> Recipe {
        self.recipe_of(self.side())
    }

    /// Returns the [`recipe`](Self::recipe) with views of `side` pixels.
    pub fn recipe_of(self, side: u32) -> Recipe {
        let geometry = match self {
            Self::C10 => Op::Translate { p: 0.8, max: 4 },
            _ => Op::ResizedCrop { scale: (0.3, 1.0), ratio: (0.7, 1.4), filter: Filter::Bicubic },
        };
        let hue = match self {
            Self::C10 | Self::Stl10 => 0.2,
            Self::In128 | Self::In224 => 0.1,
        };
        let jitter = Op::ColorJitter { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue };
        let view = vec![geometry, jitter, Op::Grayscale { p: 0.25 }];
        let shared = [self.fitted(side), vec![Op::Flip { p: 0.5 }]].concat();
        Recipe::new(shared, vec![view; 2], side)
    }

    /// Returns the recipe for evaluation: one view without randomness.
    pub fn evaluation(self) -> Recipe {
        self.evaluation_of(self.side())
    }

    /// Returns the [`evaluation`](Self::evaluation) recipe with views of `side` pixels. At another side than
    /// that of the preset it is the central 87.5 % of the image, except for CIFAR.
    pub fn evaluation_of(self, side: u32) -> Recipe {
        let edge = match (self, side) {
            (Self::Stl10, 64) => 70,
            (Self::In128, 128) => 146,
            _ => (f64::from(side) / 0.875).round() as u32,
        };
        let view = match self {
            Self::C10 => self.fitted(side),
            _ => vec![Op::ResizeShort { edge }, Op::CenterCrop],
        };
        Recipe::new(vec![], vec![view], side)
    }

    /// Returns operations that bring an image of another size to the side, for a recipe that does not resize;
    /// images of CIFAR stay as they are.
    fn fitted(self, side: u32) -> Vec<Op> {
        match self {
            Self::C10 => vec![Op::ResizeShort { edge: side }, Op::CenterCrop],
            _ => vec![],
        }
    }

    /// Returns the width and height of a view in pixels.
    pub fn side(self) -> u32 {
        match self {
            Self::C10 => 32,
            Self::Stl10 => 64,
            Self::In128 => 128,
            Self::In224 => 224,
        }
    }

    /// Returns the shares (0 to 1) of a training run after which the learning rate drops.
    pub fn drop_at(self) -> [f64; 2] {
        match self {
            Self::C10 | Self::Stl10 => [250.0 / 300.0, 280.0 / 300.0],
            Self::In128 | Self::In224 => [30.0 / 50.0, 45.0 / 50.0],
        }
    }

    /// Returns the number of epochs for which a classifier is trained on features.
    pub fn classifier_epochs(self) -> f64 {
        match self {
            Self::C10 | Self::Stl10 => 120.0,
            Self::In128 | Self::In224 => 30.0,
        }
    }

    /// Returns the shares (0 to 1) of a classifier's training after which its learning rate drops.
    pub fn classifier_drop_at(self) -> [f64; 2] {
        match self {
            Self::In128 | Self::In224 => [15.0 / 30.0, 25.0 / 30.0],
            Self::C10 | Self::Stl10 => [80.0 / 120.0, 110.0 / 120.0],
        }
    }

    /// Returns the normalization of the network's inputs.
    pub fn normalization(self) -> Normalization {
        let (mean, std) = match self {
            Self::C10 => {
                return Normalization { mean: [125.3, 123.0, 113.9], std: [63.0, 62.1, 66.7] };
            }
            Self::Stl10 => ([0.43, 0.42, 0.39], [0.27, 0.26, 0.27]),
            Self::In128 | Self::In224 => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        };
        Normalization { mean: mean.map(|m| m * 255.0), std: std.map(|s| s * 255.0) }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::C10 => "c10",
            Self::Stl10 => "stl10",
            Self::In128 => "in128",
            Self::In224 => "in224",
        })
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::Preset { name: name.to_owned() };
        Self::ALL.into_iter().find(|preset| preset.to_string() == name).ok_or_else(unknown)
    }
}

/// The mean and standard deviation of red, green and blue, on the scale from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// The mean of each channel, which is subtracted.
    pub mean: [f64; 3],
    /// The standard deviation of each channel, which divides the difference.
    pub std: [f64; 3],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_found_by_its_displayed_name() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse::<Preset>().unwrap(), preset);
            assert_eq!(serde_json::to_string(&preset).unwrap(), format!("\"{preset}\""));
        }
        assert_eq!("imagenet".parse::<Preset>().unwrap_err().hint(), Some(crate::Hint::Preset));
    }

    #[test]
    fn a_recipe_survives_json() {
        for recipe in Preset::ALL.iter().flat_map(|preset| [preset.recipe(), preset.evaluation()]) {
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
        }
    }
}
