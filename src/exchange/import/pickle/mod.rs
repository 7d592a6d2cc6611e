//! A pickle's values, without running anything: names of functions stay names, and only those that tensors and numbers are made of
//! are let through.
//!
//! Of the protocols 0 to 5 what `torch.save` writes (opcodes: Python's `pickletools`). Readers that are kept up know the zip files of
//! today's `torch.save` alone, not the streams of 2019, in which the reference's checkpoints are.

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
