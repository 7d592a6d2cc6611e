//! A crate of one build script, which ends a build without libtorch with one line. Otherwise the C++ compiler would print a hundred.
//!
//! The script has to run before that of torch-sys. Cargo starts with the units that most others wait for: this is why the check is
//! a crate of its own at the end of a chain, a build dependency of `built` and `torchkit`.

#[cfg(test)]
mod check;
