//! Encoder, losses, gradients, updates, batch-norm statistics and probes of whole models of AMDIM.

mod bounds;
mod compare;
mod model;
mod names;

pub use self::{
    compare::{agree, agree_in},
    names::reference_name,
};
