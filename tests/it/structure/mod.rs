//! The direction of imports, in every crate: modules import those below them, and neither two files nor two
//! folders import each other.

mod direction;
mod imports;
