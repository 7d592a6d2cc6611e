//! The commit that the program was built from. A crate of its own, so that a new commit recompiles nothing
//! else.

/// The first twelve digits of the commit's hash; `unknown` if the sources are in no git repository.
pub const COMMIT: &str = env!("AMDIM_COMMIT");
