//! The command line: subcommands, flags, and answers to flags of other programs.

mod args;
mod habits;
mod leftovers;
mod manual;

pub(crate) use self::habits::explained;
pub use self::{
    args::{Cli, Command},
    manual::{Completions, Man},
};
pub use crate::commands::eval::EvalCommand;
