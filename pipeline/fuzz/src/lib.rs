//! Functions that the fuzz targets share with the tests of the decoder, and the parsing of their input.
//!
//! Sanitizers need a nightly compiler, or a stable one that pretends to be one:
//!
//! ```sh
//! RUSTC_BOOTSTRAP=1 cargo fuzz run jpeg_structured --no-trace-compares -- -max_len=512
//! RUSTC_BOOTSTRAP=1 cargo fuzz run jpeg_differential fuzz/corpus/jpeg_differential fuzz/seeds/jpeg_differential
//! RUSTC_BOOTSTRAP=1 cargo fuzz run decode fuzz/corpus/decode fuzz/seeds/decode tests/data/formats
//! ```

mod differential;
#[path = "../../tests/jpeg/forge.rs"]
mod forge;
#[path = "../../tests/jpeg/judge.rs"]
mod judge;
mod render;
mod structured;
mod whole;

pub use self::{
    differential::differential,
    render::render,
    structured::{structured, with_restarts},
    whole::decode,
};
