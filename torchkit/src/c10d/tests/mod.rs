//! Ranks are threads of the test's process, except where one has to die.

mod collectives;
mod failures;
mod gradients;
mod ranks;
mod reducer;
mod stores;
