//! Checkpoints, from which a run goes on as if it had never stopped: written, read, found and retained.
//!
//! A checkpoint is a folder `step-00000500` with `model.safetensors` (parameters and statistics under the
//! reference's names), `optimizer.safetensors` (moments) and `state.json` (everything else, with the
//! checksums of all three). It is written under another name, synced and renamed, so that a folder of that
//! name is complete.

mod find;
mod folder;
mod host_copy;
mod loaded;
mod state;
mod tensors;
mod writer;

pub use self::{
    find::find,
    folder::{Best, Checkpoints, Retention},
    loaded::Loaded,
    state::{DataIdentity, State, sealed},
    tensors::{Named, hash},
};
pub(crate) use self::{
    host_copy::{HostCopies, HostCopy},
    loaded::write,
    tensors::kind_of,
    writer::{Job, Writer, Written},
};
