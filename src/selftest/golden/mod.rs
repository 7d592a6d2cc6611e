//! Comparisons with golden tensors of the reference implementations: every case by its kind.
//!
//! The program has a small case of each method; `tests/fixtures` has all. `augment` cases belong to the
//! `pipeline` crate, whose tests read the same folder. Each function `agree` compares all cases of its kind on
//! a device and returns their number.

pub mod amdim;
mod case;
mod cases;
mod embedded;
pub mod loss_only;
pub mod methods;
pub mod methods_loss;
mod precision;
mod sampled;

pub use self::{
    case::{Case, absmax},
    cases::{Cases, facts_of, kind_of, paths},
    precision::Precision,
};
