//! Shards on servers: the settings of this process, and the one way to shards that all of its parts share.

mod access;
mod args;
mod size;
mod span;

pub use access::{access, source, traffic, use_settings};
pub(crate) use access::{cache_folder, default_cache};
pub use args::ServerArgs;
pub use size::Size;
pub use span::Span;
