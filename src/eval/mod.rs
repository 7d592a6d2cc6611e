//! What an encoder is worth: probes on its features.

pub mod linear;
pub mod probe;
