//! The commit of the sources.

/// The first twelve digits of the commit's hash; `unknown` if the sources are in no git repository.
pub const COMMIT: &str = env!("AMDIM_COMMIT");
