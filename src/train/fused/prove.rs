//! The proof of fused pieces at the beginning of a run on a GPU.

use anyhow::Result;
use pipeline::Normalization;
use tch::Device;
use torchkit::Piece;

use super::{
    difference::{Difference, PIECES},
    known,
};
use crate::{device, feed::Normalizer, train::Run, views::Views};

/// Switches off the normalization in bf16 where a device does it wrong.
///
/// # Errors
///
/// The device's failure.
pub(in crate::train) fn prove_input(normalization: &Normalization, device: Device) -> Result<()> {
    if Piece::Input.is_fused() && !Normalizer::new(normalization, device).is_right_in_bf16()? {
        Piece::Input.fuse(false);
        tracing::warn!(
            "the fused input is not used: pixels in bf16 differ from those in f32 by more than their rounding\n  \
             hint: run `amdim-stream selftest --full` and report what it says"
        );
    }
    Ok(())
}

impl Run {
    /// Compares the fused pieces with their plain forms on the first batch, if they are to be proved, and switches
    /// on those that agree. A machine remembers the outcome for the same settings and version.
    pub(crate) fn prove_fused(&mut self, views: &Views) -> Result<()> {
        if !std::mem::take(&mut self.is_fused_unproved) {
            return Ok(());
        }
        let known = known::Key::of(self);
        let before = known.read();
        // All processes compare, or none does: they compute the losses together.
        let is_new = self.world.any(before.is_none())?;
        let differences = match before.filter(|_| !is_new) {
            Some(differences) => differences,
            None => self.compare_fused(views, &known)?,
        };
        differences.iter().try_for_each(|difference| self.judge(difference))
    }

    /// Compares on the largest part of the batch for which there is memory: plain forms need more of it than
    /// fused ones.
    fn compare_fused(&mut self, views: &Views, known: &known::Key) -> Result<Vec<Difference>> {
        let mut samples = self.batch_size as i64;
        // Other processes would compute on another number of samples meanwhile.
        let has_others = self.world.has_others();
        let is_divided = |samples: i64| samples > 8 && !has_others;
        loop {
            let part = first(views, samples);
            match torchkit::caught(|| self.trainer.fused_differences(&PIECES, &part)) {
                Ok(Ok(differences)) => {
                    if samples == self.batch_size as i64 {
                        known.write(&differences); // not those of other shapes
                    }
                    return Ok(differences);
                }
                Ok(Err(error)) if is_divided(samples) && device::is_out_of_memory(&error) => samples /= 2,
                Err(failure) if is_divided(samples) && failure.is_out_of_memory => samples /= 2,
                Ok(Err(error)) => return Err(error),
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Switches a piece on if it is right on all processes.
    fn judge(&self, difference: &Difference) -> Result<()> {
        let Difference { piece: name, loss, gradients, parameter, noise, block, block_tensor, .. } =
            difference;
        let Some(piece) = Piece::ALL.into_iter().find(|piece| piece.name() == name) else { return Ok(()) };
        let is_right = difference.is_rounding(self.trainer.network().precision());
        piece.fuse(!self.world.any(!is_right)?);
        if !is_right {
            let why = if *loss >= f64::MAX {
                "the device cannot compute them on the first batch, or gives no numbers".to_owned()
            } else {
                format!(
                    "on the first batch they change the loss by {loss:.1e}, the gradient of `{parameter}` by {gradients:.1e} of its size (two roundings of the images: {noise:.1e}), and {block_tensor} in a block by itself by {block:.1e}"
                )
            };
            tracing::warn!(
                "the fused {name} are not used: {why}\n  \
                 hint: run `amdim-stream selftest --full` and report what it says; --fused off skips the comparison"
            );
        }
        Ok(())
    }
}

/// Returns the first samples of a batch.
fn first(views: &Views, samples: i64) -> Views {
    let samples = samples.min(views.labels.size()[0]);
    Views {
        groups: views.groups.iter().map(|images| images.narrow(1, 0, samples)).collect(),
        labels: views.labels.narrow(0, 0, samples),
        indices: views.indices.narrow(0, 0, samples),
        next: views.next,
    }
}
