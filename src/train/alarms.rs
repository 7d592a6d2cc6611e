//! Warnings of a loss that indicates a fault.

use super::session::Run;
use crate::{method::Recorded, notice, run::batch::norm_groups};

impl Run {
    /// Warns of the loss of a record, if there is one.
    pub(crate) fn judge_loss(&mut self, loss: Option<f64>) {
        let Some(loss) = loss else { return };
        self.warn_of_chance(loss);
        let samples = self.batch_size as i64;
        let method = self.trainer.network().method();
        let norm_groups = norm_groups(&self.config.train, method, samples);
        let alarm = method.alarm(Recorded { step: self.trainer.step_count(), samples, norm_groups, loss });
        if let Some(alarm) = alarm.filter(|_| !self.has_alarmed) {
            tracing::warn!("{alarm}");
            self.has_alarmed = true;
        }
    }

    /// Warns once if the loss of the last records, after the warm-up, is at chance level.
    fn warn_of_chance(&mut self, loss: f64) {
        const RECORDS: u32 = 20;
        let chance = self.trainer.network().method().chance(self.batch_size as i64);
        let is_at_chance = loss > 0.995 * chance;
        let is_warm = self.trainer.step_count() > 2 * self.trainer.schedule().warmup_steps();
        self.at_chance = if is_at_chance && is_warm { self.at_chance.saturating_add(1) } else { 0 };
        if self.at_chance == RECORDS {
            let warning = notice!(
                "the loss stays at its chance level, {chance:.2}: nothing is learned";
                "try another --lr or a larger batch, and look at the views of an image with `amdim-stream show`"
            );
            tracing::warn!("{warning}");
        }
    }
}
