//! The fused pieces of single blocks of the encoder beside their plain forms. A block alone multiplies rounding less
//! than a whole step, so that smaller faults show.

use anyhow::Result;
use tch::{Kind, Tensor};
use torchkit::Piece;

use super::difference::{PIECES, Worst, fuse_all, fused_pass, norm, rounded, share};
use crate::{
    encoder::{Mode, Moves, Norming},
    train::Trainer,
};

/// A batch norm in training normalizes by the batch; its running statistics stay as they are.
const MODE: Mode = Mode::Training { views: 1, norming: Norming { moves: Moves::Kept, ..Norming::WHOLE } };

/// The output of a block and the gradients of its input and of its parameters.
struct Pass(Vec<(String, Tensor)>);

impl Trainer {
    /// Returns how far `piece` is, beside the pieces that are on, from the plain form in the block where it is
    /// farthest, for images (n, 3, h, w).
    pub(super) fn blocks_off(&mut self, piece: Piece, images: &Tensor) -> Result<Worst> {
        let on: Vec<_> = PIECES.into_iter().filter(|piece| piece.is_fused()).collect();
        let mut worst = Worst::default();
        self.each_block(images, |trainer, number, x, plain| {
            fuse_all(&on, true);
            let fused = fused_pass(piece, || trainer.pass_of_block(number, x));
            fuse_all(&PIECES, false);
            let none = Worst::failed(format!("block {number}"));
            worst.note(&fused?.map_or(none, |fused| off(&fused, plain)));
            Ok(())
        })?;
        fuse_all(&on, true);
        Ok(worst)
    }

    /// Returns how far a plain block is, at most, on an input that is changed by two roundings of `unit`.
    pub(super) fn blocks_off_by_rounding(&mut self, images: &Tensor, unit: f64) -> Result<f64> {
        let mut worst = Worst::default();
        self.each_block(images, |trainer, number, x, plain| {
            worst.note(&off(&trainer.pass_of_block(number, &rounded(x, unit))?, plain));
            Ok(())
        })?;
        Ok(worst.off)
    }

    /// Calls `visit` with each block's number, input and plain pass. All pieces are off meanwhile and afterwards.
    fn each_block(
        &mut self,
        images: &Tensor,
        mut visit: impl FnMut(&mut Self, usize, &Tensor, &Pass) -> Result<()>,
    ) -> Result<()> {
        fuse_all(&PIECES, false);
        let mut x = images.shallow_clone();
        for number in 0..self.network().encoder().blocks() {
            let plain = self.pass_of_block(number, &x)?;
            visit(self, number, &x, &plain)?;
            let (_, output) = plain.0.into_iter().next().expect("a block has an output");
            x = output;
        }
        Ok(())
    }

    fn pass_of_block(&mut self, number: usize, x: &Tensor) -> Result<Pass> {
        self.learner.optimizer.forget_gradients()?;
        let network = self.network();
        let x = x.detach().set_requires_grad(number > 0); // images need no gradient
        let output = {
            let _scope = network.precision().autocast(x.device())?;
            network.encoder().block(number, &x, MODE)
        };
        tch::manual_seed(number as i64);
        (&output * output.randn_like()).sum(Kind::Float).backward();
        let named = network.tensors().into_iter().map(|(name, tensor)| (name, tensor.grad()));
        let of_parameters = named.filter(|(_, gradient)| gradient.defined());
        let of_input = [(format!("the input of block {number}"), x.grad())];
        let of_input = of_input.into_iter().filter(|(_, gradient)| gradient.defined());
        let first = [(format!("the output of block {number}"), output.detach())];
        Ok(Pass(first.into_iter().chain(of_input).chain(of_parameters).collect()))
    }
}

/// Returns the largest difference of a tensor as a share of its norm.
fn off(found: &Pass, expected: &Pass) -> Worst {
    let mut worst = Worst::default();
    for ((name, found), (_, expected)) in found.0.iter().zip(&expected.0) {
        let off = share(norm(&(found - expected)), norm(expected));
        worst.note(&Worst { off, of: name.clone() });
    }
    worst
}
