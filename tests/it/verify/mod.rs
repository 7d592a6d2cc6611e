//! `verify`: every kind of damage is found and counted, and `--fix` writes a clean set.

mod arguments;
mod findings;
mod fix;
mod images;
mod support;
mod unusual_members;
