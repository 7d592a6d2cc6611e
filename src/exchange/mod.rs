//! Encoders in the files of other programs.

pub mod export;
pub mod import;
