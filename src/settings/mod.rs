//! Settings, each written once: `settings!` makes of a declaration the section's struct with its defaults and the list of its
//! settings, from which the flags of a run, the names in a file, the bounds, and what a resumed run may change follow.

pub(crate) mod as_text;
mod declare;
mod form;
pub(crate) mod named;
mod setting;

pub(crate) use self::declare::settings;
pub use self::{
    form::{Form, Heading, choice, in_files_only, path, patterns, real, text, whole, yes_or_no},
    setting::Setting,
};
