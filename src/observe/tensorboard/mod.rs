//! Event files for TensorBoard.

mod board;
mod checksum;
mod event;
mod file;
mod forgiving;
mod message;
pub mod records;
pub mod tags;
mod told;

pub(crate) use self::told::missing;
pub use self::{board::TensorBoard, forgiving::Forgiving};
