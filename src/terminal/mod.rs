//! The output on stderr: messages and, below them on a terminal, a progress line.

mod line;
mod messages;
mod progress;
mod surroundings;

pub use self::{
    line::{clear, close, without},
    messages::Messages,
    progress::Progress,
    surroundings::{columns_for_text, has_colours, has_line, silence},
};
