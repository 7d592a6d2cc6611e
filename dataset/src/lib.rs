//! Makes and checks sharded image datasets: packs folders, verifies and mends shards, draws synthetic images.

mod classes;
mod destination;
mod inventory;
mod misuse;
mod output;
pub mod pack;
mod progress;
mod random;
mod shard_folder;
pub mod synth;
pub mod verify;

pub use classes::{ClassNames, warn_of_renamed};
pub use destination::check_folder;
pub use inventory::{Gap, Histogram, Inventory};
pub use misuse::Misuse;
pub use output::Summary;
pub use progress::{Progress, Stage};
pub use random::Random;
