//! Unfinished files of an interrupted command.

use super::args::Command;
use crate::{files::folder_of, signals::Leftovers};

impl Command {
    /// Returns whether several processes share the work of the command. One of them does that of the others.
    pub fn is_divided(&self) -> bool {
        matches!(
            self,
            Self::Doctor(_)
                | Self::Embed(_)
                | Self::Eval(_)
                | Self::Pack(_)
                | Self::Selftest(_)
                | Self::Verify(_)
        )
    }

    /// Returns the message for an interrupted command, and the folders that may contain unfinished files.
    pub fn leftovers(&self) -> Leftovers {
        let (words, folders) = match self {
            Self::Eval(command) => ("there is no result", command.cache().into_iter().collect()),
            Self::Embed(args) => {
                let words = "shards that have a file are finished; run the same command again to go on";
                (words, vec![args.out.clone()])
            }
            Self::Pack(args) => ("not all shards are written", vec![args.out.clone()]),
            Self::Synth(args) => ("not all shards are written", vec![args.out.clone()]),
            Self::Verify(args) => {
                let report = args.report.as_ref().map(|report| folder_of(report).to_owned());
                ("not all shards are verified", args.fix.clone().into_iter().chain(report).collect())
            }
            Self::Doctor(args) => ("there is no result", vec![args.out.clone()]),
            Self::Export(args) => ("nothing is written", vec![folder_of(&args.out).to_owned()]),
            Self::Import(args) => ("nothing is written", vec![args.out.clone()]),
            Self::Report(args) => ("nothing is written", vec![folder_of(&args.out).to_owned()]),
            Self::Show(args) => ("nothing is written", vec![folder_of(&args.out).to_owned()]),
            Self::Events(args) => {
                let folders = args.runs.iter().map(|run| run.join("tensorboard"));
                ("not all event files are written", folders.collect())
            }
            Self::Index(args) => ("not all shards are indexed", args.out.iter().cloned().collect()),
            _ => ("there is no result", Vec::new()),
        };
        Leftovers { words: words.to_owned(), folders }
    }
}
