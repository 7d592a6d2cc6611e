//! The commit that the program was built from. A crate of its own, so that a new commit recompiles nothing
//! else.

mod commit;

pub use self::commit::COMMIT;
