//! The learning rate as a function of the step.

use super::optim;

/// Linear warm-up, then drops by a factor at given steps.
#[derive(Debug, Clone)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    drops: Vec<u64>,
    drop_factor: f64,
}

impl Schedule {
    /// The schedule of a run of `steps` updates.
    pub fn new(config: &optim::Config, steps: u64) -> Self {
        let drop = |share: &f64| (share * steps as f64).round() as u64;
        Self {
            lr: config.lr,
            warmup_steps: config.warmup_steps,
            drops: config.drop_at.iter().map(drop).collect(),
            drop_factor: config.drop_factor,
        }
    }

    /// The learning rate of the update that follows `step` complete ones.
    pub fn at(&self, step: u64) -> f64 {
        let warmup = ((step + 1) as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        let dropped = self.drops.iter().filter(|&&at| step >= at).count();
        self.lr * warmup * self.drop_factor.powi(dropped as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_warms_up_and_drops_where_the_reference_does() {
        let config = optim::Config { drop_at: vec![250.0 / 300.0, 280.0 / 300.0], ..Default::default() };
        let epoch = 195;
        let schedule = Schedule::new(&config, 300 * epoch);
        let close = |step, lr: f64| (schedule.at(step) - lr).abs() < 1e-12;
        assert!(close(0, 2e-4 / 500.0));
        assert!(close(249, 1e-4));
        assert!(close(499, 2e-4) && close(250 * epoch - 1, 2e-4));
        assert!(close(250 * epoch, 4e-5) && close(280 * epoch - 1, 4e-5));
        assert!(close(280 * epoch, 8e-6));
    }
}
