//! Comparisons that any device must pass.

mod graph;
mod item;
mod list;
mod optimizers;
mod overlap;
mod precision;
mod resume;

#[cfg(test)]
pub(crate) use item::Check;
pub(crate) use list::ALL;
#[cfg(test)]
pub(crate) use optimizers::{UPDATES_OFF, decaying, updates_off};
