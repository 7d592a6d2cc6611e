//! Comparisons that any device must pass.

mod adam;
mod graph;
mod item;
mod list;
mod overlap;
mod precision;
mod resume;

#[cfg(test)]
pub(crate) use adam::{ADAM_OFF, adam_off};
#[cfg(test)]
pub(crate) use item::Check;
pub(crate) use list::ALL;
