//! The whole program, in one binary: libtorch is linked once.

mod cli;
mod fixtures;
mod resume;
mod support;
mod train;
