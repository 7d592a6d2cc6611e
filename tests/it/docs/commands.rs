//! The program accepts every command line in the documents.

use std::{collections::BTreeSet, fs};

use amdim_stream::cli::Cli;
use clap::CommandFactory;

use super::pages::{documents, root};
use crate::{
    contrib::{files, parse, words},
    support::Place,
};

/// Returns the command lines of this program in a text, without the program's name.
fn commands(text: &str) -> Vec<String> {
    let known: BTreeSet<_> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut found = Vec::new();
    let text = ["\\\n", ":cpu ", ":cuda "].iter().fold(text.to_owned(), |text, mark| text.replace(mark, " "));
    for line in text.lines() {
        for (at, name) in line.match_indices("amdim-stream ") {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let first = after.split([' ', '`']).next().unwrap_or_default();
            let first = first.split('|').next().unwrap_or_default();
            if !first.starts_with("--") && !known.contains(first) {
                continue; // prose, or the name of a container image
            }
            let quote = before.rfind(|c: char| c.is_whitespace() || c == '`');
            let is_quoted = quote.is_some_and(|at| before[at..].starts_with('`'));
            let end = if is_quoted { after.find('`') } else { after.find(" && ") };
            let command = after[..end.unwrap_or(after.len())].trim_end_matches(" &").replace(r"\%", "%");
            // `amdim-stream export` in backticks is the name of a command.
            if !(is_quoted && known.contains(&command)) {
                found.push(command);
            }
        }
    }
    found
}

#[test]
fn the_program_accepts_every_command_in_the_documents() {
    let place = Place::new();
    let mut count = 0;
    // The page of settings is generated from the help.
    let by_hand = documents("docs").into_iter().filter(|name| name != "docs/reference/settings.md");
    let documents = by_hand.map(|name| root(&name)).collect();
    for path in [files(&root("contrib")), vec![root("README.md")], documents].concat() {
        for command in commands(&fs::read_to_string(&path).unwrap()) {
            if command.contains('…') || command.contains("...") || command.contains('[') {
                continue; // the command line is not complete
            }
            // Of alternatives such as `linear|mlp`, the first is tried.
            let one = command.split(' ').map(|word| if word.starts_with('\'') { word } else { first(word) });
            let line = format!("amdim-stream {}", one.collect::<Vec<_>>().join(" "));
            let from = format!("{}: {line}", path.display());
            parse(&words(&place, &format!("SLURM_ARRAY_TASK_ID=0; {line}")), &from);
            count += 1;
        }
    }
    assert!(count >= 25, "{count} commands are found");
}

fn first(word: &str) -> &str {
    word.split('|').next().unwrap_or(word)
}

#[test]
fn commands_are_found_in_prose() {
    let text = "cd x && amdim-stream doctor --out run && echo\n`amdim-stream plan --gpu` says, `amdim-stream plan` and amdim-stream is\n\
                docker build -t amdim-stream:cpu .\ndocker run amdim-stream:cpu --shards \\\n x\namdim-stream --seed 1 &\nx amdim-stream eval a|b -x\n";
    assert_eq!(commands(text), ["doctor --out run", "plan --gpu", "--shards   x", "--seed 1", "eval a|b -x"]);
}
