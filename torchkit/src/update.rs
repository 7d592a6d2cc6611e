//! Updates of parameters by an optimizer's rule.

use tch::Tensor;

use crate::{
    failure::Failure,
    ffi::{
        RawUpdate, amdim_adam, amdim_all_finite, amdim_forget_gradients, amdim_lars, amdim_norm, amdim_sgd,
        check, made, raw, raws,
    },
};

/// The rule of an optimizer, with the numbers that the host knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>), as in PyTorch. It keeps running means of
    /// the gradients and of their squares.
    Adam {
        /// The decay rates of the running means of the gradients and of their squares.
        betas: [f64; 2],
        /// The weight of the L2 penalty on parameters.
        weight_decay: f64,
        /// Added to the square root in the denominator.
        eps: f64,
        /// Whether the penalty shrinks the parameters (AdamW, Loshchilov and Hutter 2019,
        /// <https://arxiv.org/abs/1711.05101>) instead of being added to their gradients (L2).
        is_decoupled: bool,
    },
    /// Stochastic gradient descent, as in PyTorch: v ← momentum·v + g; w ← w − lr·v.
    Sgd {
        /// The factor of v at each step.
        momentum: f64,
        /// Whether the parameters move by g + momentum·v instead of v.
        is_nesterov: bool,
        /// Added to each gradient, times the parameter.
        weight_decay: f64,
    },
    /// LARS (You et al. 2017, <https://arxiv.org/abs/1708.03888>) as SimCLR uses it: g ← g +
    /// `weight_decay`·w; v ← momentum·v + lr·trust·g; w ← w − v.
    Lars {
        /// The factor of v at each step.
        momentum: f64,
        /// Added to each gradient, times the parameter.
        weight_decay: f64,
        /// η of the trust ratio η·‖w‖/‖g‖ of each tensor, which is 1 where one of the norms is 0. None means
        /// a ratio of 1 for all tensors.
        eta: Option<f64>,
    },
}

impl Rule {
    /// Returns the names of the moments that the rule keeps of each parameter, after PyTorch's optimizers.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Adam { .. } => &["exp_avg", "exp_avg_sq"],
            Self::Sgd { momentum, .. } | Self::Lars { momentum, .. } if *momentum <= 0.0 => &[],
            Self::Sgd { .. } | Self::Lars { .. } => &["momentum"],
        }
    }
}

/// A parameter to update.
#[derive(Debug, Clone, Copy)]
pub struct Updated<'a> {
    /// The parameter.
    pub parameter: &'a Tensor,
    /// Its gradient, of the same shape.
    pub gradient: &'a Tensor,
    /// Its moments in the order of [`Rule::moments`], at first zeros.
    pub moments: &'a [Tensor],
}

/// The numbers of an update that are scalars of f32 on the parameters' device: the host need not know them,
/// and a recorded update can be replayed with other values.
#[derive(Debug, Clone, Copy)]
pub struct Scalars<'a> {
    /// The learning rate; on the CPU it may be f64.
    pub lr: &'a Tensor,
    /// The number of updates so far, which [`Rule::Adam`] reads and increments.
    pub step: &'a Tensor,
    /// The divisor of all gradients, if there is one. Without it, an update need not write the gradients back.
    pub scale: Option<&'a Tensor>,
    /// 0; if it is 1, the update changes nothing but the gradients.
    pub skip: &'a Tensor,
}

/// Queues one update of all parameters in one call. The gradients may be overwritten.
///
/// # Errors
/// libtorch's failure.
///
/// # Panics
/// If a parameter has another number of moments than the rule keeps, or a gradient or moment has other
/// strides than its parameter: libtorch would compute nonsense.
#[expect(unsafe_code, reason = "a foreign call")]
pub fn update(rule: &Rule, updated: &[Updated], scalars: Scalars) -> Result<(), Failure> {
    for updated in updated {
        check_strides(rule, updated);
    }
    if updated.is_empty() {
        return Ok(());
    }
    let list = |of: &dyn Fn(&Updated) -> *mut _| updated.iter().map(of).collect::<Vec<_>>();
    let parameters = list(&|updated| raw(updated.parameter));
    let gradients = list(&|updated| raw(updated.gradient));
    let [first, second] = [0, 1]
        .map(|place| updated.iter().filter_map(|updated| updated.moments.get(place)).map(raw).collect());
    let (first, second): (Vec<_>, Vec<_>) = (first, second);
    let update = RawUpdate {
        parameters: parameters.as_ptr(),
        gradients: gradients.as_ptr(),
        first: first.as_ptr(),
        second: second.as_ptr(),
        count: updated.len(),
        lr: raw(scalars.lr),
        scale: scalars.scale.map_or(std::ptr::null_mut(), raw),
        skip: raw(scalars.skip),
    };
    // SAFETY: each list that the rule reads has `count` pointers, as `check_strides` ensures, of tensors
    // borrowed until the call returns.
    check(unsafe {
        match *rule {
            Rule::Adam { betas: [beta1, beta2], weight_decay, eps, is_decoupled } => {
                let step = raw(scalars.step);
                amdim_adam(&raw const update, step, beta1, beta2, weight_decay, eps, is_decoupled.into())
            }
            Rule::Sgd { momentum, is_nesterov, weight_decay } => {
                amdim_sgd(&raw const update, momentum, is_nesterov.into(), weight_decay)
            }
            Rule::Lars { momentum, weight_decay, eta } => {
                amdim_lars(&raw const update, momentum, weight_decay, eta.unwrap_or(-1.0))
            }
        }
    })
}

fn check_strides(rule: &Rule, updated: &Updated) {
    let strides = |tensor: &Tensor| {
        let strides = tensor.stride().into_iter().zip(tensor.size());
        strides.filter(|(_, size)| *size > 1).collect::<Vec<_>>()
    };
    let Updated { parameter, gradient, moments } = updated;
    assert_eq!(moments.len(), rule.moments().len(), "a parameter has the moments of its rule");
    let is_alike = [*gradient].into_iter().chain(*moments).all(|other| strides(other) == strides(parameter));
    assert!(is_alike, "gradients and moments have the strides of their parameters");
}

/// Computes the 2-norm of all gradients together: a scalar on their device, without waiting for it.
///
/// # Errors
/// libtorch's failure, e.g. for lack of memory.
#[expect(unsafe_code, reason = "a foreign call")]
pub fn gradient_norm(gradients: &[&Tensor]) -> Result<Tensor, Failure> {
    let gradients = raws(gradients);
    // SAFETY: the pointers are those of tensors borrowed until the call returns; `out` is written only on
    // success.
    made(|out| unsafe { amdim_norm(gradients.as_ptr(), gradients.len(), out) })
}

/// Returns whether all numbers of these tensors are finite: a bool on their device, without waiting for it.
///
/// # Errors
/// libtorch's failure, e.g. for lack of memory.
///
/// # Panics
/// If there are no tensors with elements.
#[expect(unsafe_code, reason = "a foreign call")]
pub fn all_finite(tensors: &[&Tensor]) -> Result<Tensor, Failure> {
    let with_elements: Vec<_> = tensors.iter().copied().filter(|tensor| tensor.numel() > 0).collect();
    assert!(!with_elements.is_empty(), "there are tensors");
    let tensors = raws(&with_elements);
    // SAFETY: the pointers are those of tensors borrowed until the call returns; `out` is written only on
    // success.
    made(|out| unsafe { amdim_all_finite(tensors.as_ptr(), tensors.len(), out) })
}

/// Drops the gradients of these parameters.
///
/// # Errors
/// libtorch's failure.
#[expect(unsafe_code, reason = "a foreign call")]
pub fn forget_gradients(parameters: &[&Tensor]) -> Result<(), Failure> {
    let parameters = raws(parameters);
    // SAFETY: the pointers are those of tensors borrowed until the call returns.
    check(unsafe { amdim_forget_gradients(parameters.as_ptr(), parameters.len()) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn one_number_that_is_not_finite_is_found_among_all_tensors() {
        let tensor = |numbers: &[f64], kind| Tensor::from_slice(numbers).to_kind(kind);
        let found = |odd: f64| {
            let tensors = [
                Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)),
                tensor(&[1.0, odd, -2.0], Kind::Float).view([3, 1]),
                tensor(&[1e300, 0.5], Kind::Double),
            ];
            all_finite(&tensors.iter().collect::<Vec<_>>()).unwrap().int64_value(&[]) == 1
        };
        assert!(found(-3e38), "its square is beyond f32");
        assert!(![f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(found).contains(&true));
    }
}
