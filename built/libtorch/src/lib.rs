//! Nothing but its build script, which says in one line that `make setup` has not put libtorch in its place yet, where the C++
//! compiler says it in a hundred.
//!
//! It has to run before the build script of torch-sys. Cargo takes those units first that most others wait for: this is why the
//! check is a crate of its own at the end of a chain, a build dependency of `built`.
