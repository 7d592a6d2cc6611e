//! Stops the build with one line if libtorch is missing, instead of a hundred lines of compiler errors.
//!
//! The script has to run before that of torch-sys. Cargo starts with the units that most others wait for:
//! this is why the check is a crate of its own at the end of a chain, a build dependency of `built` and
//! `torchkit`.

#[cfg(test)]
mod check;
