//! Reads Python pickles of the protocols 0 to 5 as `torch.save` writes them (opcodes: Python's
//! `pickletools`).
//!
//! Nothing is run: functions are kept as names, and only the names that tensors and numbers need are
//! accepted. Maintained libraries read only the zip files of PyTorch 1.6 and later; the checkpoints of the
//! reference implementation, of 2019, are older.

mod instructions;
mod machine;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub(super) use self::{
    instructions::read,
    value::{Pickle, Value},
};
