//! What a user sees on stderr: messages, and below them, on a terminal, one line that says how far the work is.

mod line;
mod messages;
mod progress;
mod surroundings;

pub use self::{
    line::{clear, close, without},
    messages::Messages,
    progress::Progress,
    surroundings::{columns_for_text, has_colours, has_line},
};
