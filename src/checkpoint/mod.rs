//! Saving a run so that it can go on as if it had never stopped, and finding the last good save.
//!
//! A checkpoint is a folder `step-00000500` with `model.safetensors` (parameters and statistics under the reference's
//! names), `optimizer.safetensors` (moments) and `state.json` (all else, with the checksums of all three). It is
//! written beside, synced and renamed, so that a folder of that name is complete.

mod find;
mod folder;
mod loaded;
mod state;
mod tensors;

pub use self::{
    find::find,
    folder::{Best, Checkpoints, Retention},
    loaded::Loaded,
    state::{DataIdentity, State, sealed},
    tensors::{Named, hash},
};
pub(crate) use self::{loaded::write, tensors::kind_of};
