//! What is left when a command is interrupted.

use std::path::PathBuf;

use super::Command;
use crate::signals::Leftovers;

impl Command {
    /// What the user is told when it is interrupted, and where it may have begun files.
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
                let report = args.report.as_ref().and_then(|report| report.parent()).map(PathBuf::from);
                let here = |folder: PathBuf| if folder.as_os_str().is_empty() { ".".into() } else { folder };
                let report = report.map(here);
                ("not all shards are verified", args.fix.clone().into_iter().chain(report).collect())
            }
            Self::Export(_) | Self::Import(_) | Self::Show(_) => ("nothing is written", Vec::new()),
            _ => ("there is no result", Vec::new()),
        };
        Leftovers { words: words.to_owned(), folders }
    }
}
