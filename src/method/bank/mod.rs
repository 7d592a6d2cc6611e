//! Memory banks: a row of features for each sample of the set, and the losses of features that are compared
//! with rows of other samples.

mod contrast;
mod partition;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

pub(in crate::method) use self::rows::Moved;
pub use self::{
    contrast::{Compared, Contrast},
    settings::{BankLoss, BankSettings},
};
