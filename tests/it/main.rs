//! The whole program, in one binary: libtorch is linked once.

mod fixtures;
