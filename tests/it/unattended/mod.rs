//! Runs that nobody watches.

mod if_changed;
mod limits;
mod promotion;
mod records;
mod show;
mod support;
