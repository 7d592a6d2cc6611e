//! What the program was built from. A crate of its own, so that a commit does not compile anything else anew.

/// The commit of the sources, twelve digits of it; `unknown` where they are in no git repository.
pub const COMMIT: &str = env!("AMDIM_COMMIT");
