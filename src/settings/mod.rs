//! Settings, each declared once. `settings!` turns the declarations of a section into its struct with
//! defaults and a list of [`Setting`]s. The flags of a run, the keys in a file, the bounds, and what a
//! resumed run may change follow from that list.

pub(crate) mod as_text;
mod declare;
mod form;
pub(crate) mod named;
pub(crate) mod optional_text;
mod setting;

pub(crate) use self::{declare::settings, form::Refusal, setting::OutOfBounds};
pub use self::{
    form::{Form, Heading, choice, in_files_only, one_of, path, patterns, real, text, whole, yes_or_no},
    setting::Setting,
};
