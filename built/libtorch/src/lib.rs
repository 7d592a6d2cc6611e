//! A crate that only has a build script: it says in one line that `make setup` has not installed libtorch,
//! which the C++ compiler would say in a hundred.
//!
//! The script has to run before that of torch-sys. Cargo builds those crates first that most others wait for:
//! hence a crate of its own at the end of a chain, a build dependency of `built`.
