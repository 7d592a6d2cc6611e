//! AMDIM: maximizing mutual information across views (Bachman, Hjelm, Buchwalter 2019).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn::Path};

use super::{Loss, Method, Views};
use crate::{
    loss::{self, Nce},
    model::{
        self, Encoder,
        amdim::{AmdimEncoder, Embeddings, cell_masks},
    },
};

/// Settings of the objective; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Scores are clipped softly to ± this.
    pub tclip: f64,
    /// Weight of the mean squared raw score.
    pub score_penalty: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tclip: 20.0, score_penalty: 0.05 }
    }
}

/// The AMDIM objective over its encoder: tasks 1t5, 1t7 and 5t5, each in both directions.
#[derive(Debug)]
pub struct Amdim {
    encoder: AmdimEncoder,
    /// (25, 1, 5, 5), u8: row i·5 + j picks cell (i, j) of `r5`.
    masks_r5: Tensor,
    config: Config,
}

/// The scalar parts of the objective.
#[derive(Debug)]
pub struct Parts {
    /// Prediction of `r5` from the other view's `r1`.
    pub task_1t5: Tensor,
    /// Prediction of `r7` from the other view's `r1`.
    pub task_1t7: Tensor,
    /// Prediction of `r5` from one cell of the other view's `r5`.
    pub task_5t5: Tensor,
    /// The weighted score penalty of all three.
    pub penalty: Tensor,
}

impl Parts {
    /// What is minimized.
    pub fn total(&self) -> Tensor {
        &self.task_1t5 + &self.task_1t7 + &self.task_5t5 + &self.penalty
    }
}

impl Amdim {
    /// The method with a freshly initialized encoder for images of `side`.
    pub fn new(path: &Path, side: u32, encoder: &model::amdim::Config, config: &Config) -> Self {
        Self {
            encoder: AmdimEncoder::new(&(path / "encoder"), side, encoder),
            masks_r5: cell_masks(&(path / "g2l_loss"), "masks_r5", 5),
            config: config.clone(),
        }
    }

    /// Embeddings of one view (n, 3, h, w).
    pub fn embed(&self, images: &Tensor, train: bool) -> Embeddings {
        self.encoder.embed(images, train)
    }

    /// The objective of two views' embeddings; `cells` (2, n) names the cell of `r5` that each view predicts from.
    pub fn objective(&self, one: &Embeddings, two: &Embeddings, cells: &Tensor) -> Parts {
        let tasks = [
            self.both_ways(&one.r1.flatten(1, 3), &two.r5, &two.r1.flatten(1, 3), &one.r5),
            self.both_ways(&one.r1.flatten(1, 3), &two.r7, &two.r1.flatten(1, 3), &one.r7),
            self.both_ways(
                &self.pick(&one.r5, &cells.get(0)),
                &two.r5,
                &self.pick(&two.r5, &cells.get(1)),
                &one.r5,
            ),
        ];
        let penalty = tasks.iter().map(|task| &task.penalty).sum::<Tensor>() * self.config.score_penalty;
        let [task_1t5, task_1t7, task_5t5] = tasks.map(|task| task.loss);
        Parts { task_1t5, task_1t7, task_5t5, penalty }
    }

    /// The mean of a task's two directions: contexts (n, d) of each view with the other's targets (n, d, s, s).
    fn both_ways(&self, context_1: &Tensor, target_2: &Tensor, context_2: &Tensor, target_1: &Tensor) -> Nce {
        let there = loss::nce(context_1, &target_2.flatten(2, 3), self.config.tclip);
        let back = loss::nce(context_2, &target_1.flatten(2, 3), self.config.tclip);
        Nce { loss: (there.loss + back.loss) * 0.5, penalty: (there.penalty + back.penalty) * 0.5 }
    }

    /// One cell of each image's `r5`: (n, d).
    fn pick(&self, r5: &Tensor, cells: &Tensor) -> Tensor {
        let masks = self.masks_r5.index_select(0, cells).to_kind(r5.kind());
        (r5 * masks).sum_dim_intlist([2i64, 3].as_slice(), false, None::<Kind>)
    }
}

impl Method for Amdim {
    fn loss(&self, views: &Views) -> Loss {
        let (one, two) = (self.embed(&views.images.get(0), true), self.embed(&views.images.get(1), true));
        let cells = Tensor::randint(25, [2, one.r1.size()[0]], (Kind::Int64, views.images.device()));
        let parts = self.objective(&one, &two, &cells);
        Loss {
            total: parts.total(),
            features: Tensor::cat(&[one.r1, two.r1], 0).flatten(1, 3),
            parts: vec![
                ("1t5", parts.task_1t5),
                ("1t7", parts.task_1t7),
                ("5t5", parts.task_5t5),
                ("penalty", parts.penalty),
            ],
        }
    }

    fn chance(&self, n: i64) -> f64 {
        2.0 * loss::chance(n, 25) + loss::chance(n, 49)
    }

    fn encoder(&self) -> &dyn Encoder {
        &self.encoder
    }
}
