//! Passes through a chain of blocks that keep only the inputs of blocks.

use anyhow::Result;
use tch::{Kind, Tensor};
use torchkit::Autocast;

/// Blocks that compute their output one after the other.
#[derive(Debug)]
pub struct Chain<F: Fn(usize, &Tensor) -> Tensor> {
    /// The number of blocks.
    pub len: usize,
    /// Returns the output of a block, given by its number, for its input.
    pub block: F,
}

impl<F: Fn(usize, &Tensor) -> Tensor> Chain<F> {
    /// Returns the output for `x` and the inputs of all blocks.
    pub fn forward(&self, x: &Tensor) -> (Tensor, Vec<Tensor>) {
        let mut x = x.shallow_clone();
        let mut inputs = Vec::new();
        for number in 0..self.len {
            let output = (self.block)(number, &x);
            inputs.push(std::mem::replace(&mut x, output));
        }
        (x, inputs)
    }

    /// Backpropagates the `gradient` of the output into the parameters. Each block is computed a second time
    /// from its input; `scope` makes the autocast scope that is held meanwhile.
    ///
    /// # Errors
    ///
    /// The errors of `scope`.
    pub fn backward(
        &self,
        inputs: Vec<Tensor>,
        mut gradient: Tensor,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        for (number, input) in inputs.into_iter().enumerate().rev() {
            let input = input.detach().set_requires_grad(number > 0);
            let output = {
                let _scope = scope()?;
                (self.block)(number, &input)
            };
            product(&output, &gradient).backward();
            gradient = input.grad();
        }
        Ok(())
    }
}

/// Returns the scalar whose gradient with respect to `x` is `gradient`.
pub fn product(x: &Tensor, gradient: &Tensor) -> Tensor {
    (x * gradient.to_kind(x.kind())).sum(if x.kind() == Kind::Double { Kind::Double } else { Kind::Float })
}
