//! Renders an error: its causes on one line, then its hints.

use super::{
    dataset,
    error::{Cause, Hinted, walk},
    notice::Notice,
    pipeline, shards, storage,
};
use crate::exit::Defect;

/// Returns the causes of an error on one line, then a line for each hint.
pub fn render(error: &anyhow::Error) -> String {
    Notice { message: causes(error), hints: hints(error) }.to_string()
}

/// Returns the causes of an error on one line, outermost first. A cause that the previous message already
/// ends with is not repeated.
pub fn causes(error: &anyhow::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for link in error.chain() {
        let cause = on_one_line(&link.to_string());
        if !causes.last().is_some_and(|last| last.ends_with(&cause)) {
            causes.push(cause);
        }
    }
    causes.join(": ")
}

/// Joins the lines of a message, as some libraries' messages have several.
fn on_one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Returns the hints of all errors in a chain, outermost first, without duplicates.
pub fn hints(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    let full = storage::is_full(error).then(|| storage::FREE_SPACE.to_owned());
    for hint in walk(error).flat_map(hints_of).chain(full) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

/// Returns the hints of one error without its causes: the program's own, or a library's in words.
fn hints_of(cause: Cause<'_>) -> Vec<String> {
    match cause.downcast_ref::<Hinted>() {
        Some(hinted) => hinted.hints.clone(),
        None => library_hint(cause).into_iter().collect(),
    }
}

/// Returns the hint of a library's error in words. Each type of error has a line here.
pub(crate) fn library_hint(cause: Cause<'_>) -> Option<String> {
    if cause.is::<Defect>() {
        return Some("report it with the lines above".to_owned());
    }
    if let Some(error) = cause.downcast_ref::<::shards::Error>() {
        return error.hint().map(|hint| shards::words(&hint));
    }
    if let Some(error) = cause.downcast_ref::<::pipeline::Error>() {
        return error.hint().map(pipeline::words);
    }
    if let Some(error) = cause.downcast_ref::<::pipeline::BudgetError>() {
        return Some(pipeline::words(error.hint()));
    }
    let hint = cause.downcast_ref::<::dataset::Error>()?.hint()?;
    Some(dataset::words(&hint))
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::{Context, anyhow};
    use rustix::io::Errno;

    use super::*;
    use crate::{
        exit::Code,
        failure,
        hint::{WithHint, code},
        usage,
    };

    fn full() -> io::Error {
        io::Error::from(Errno::NOSPC)
    }

    #[test]
    fn a_chain_is_printed_cause_by_cause_and_then_the_hints_of_all_its_levels() {
        let source = io::Error::from(Errno::IO);
        let of_the_library = shards::words(
            &::shards::Error::Read { shard: "x.tar".into(), offset: 512, source }.hint().unwrap(),
        );
        let source = io::Error::from(Errno::IO);
        let chain = Err::<(), _>(::shards::Error::Read { shard: "x.tar".into(), offset: 512, source })
            .with_hint(|| "name other shards")
            .context("no batch is there")
            .with_hint(|| "look at the worker")
            .context("step 7 cannot be made");
        assert_eq!(
            render(&chain.unwrap_err()),
            format!(
                "step 7 cannot be made: no batch is there: shard `x.tar` cannot be read at byte 512: Input/output error (os error \
                 5)\n  hint: look at the worker\n  hint: name other shards\n  hint: {of_the_library}"
            )
        );
    }

    #[test]
    fn a_message_keeps_words_that_look_like_a_hint() {
        let error = failure!("line 3 is `hint of {}`", "spring"; "write {}", "a number"; "or nothing");
        assert_eq!(render(&error), "line 3 is `hint of spring`\n  hint: write a number\n  hint: or nothing");
    }

    #[test]
    fn the_code_is_found_below_what_was_added_to_the_error() {
        let error = Err::<(), _>(usage!("`{}` is no number", "x"; "write one")).context("in line 3");
        let error = error.with_hint(|| "look there").unwrap_err();
        assert_eq!(code(&error), Code::Usage);
        assert_eq!(render(&error), "in line 3: `x` is no number\n  hint: look there\n  hint: write one");
        assert_eq!(code(&anyhow!("else")), Code::Failed);
        let outer = Err::<(), _>(error).with_code(Code::Locked).unwrap_err();
        assert_eq!(code(&outer), Code::Locked);
    }

    #[test]
    fn a_wrong_path_is_an_error_of_usage_and_a_broken_disk_is_not() {
        for (errno, expected) in
            [(Errno::ACCESS, Code::Usage), (Errno::NOTDIR, Code::Usage), (Errno::IO, Code::Failed)]
        {
            let error =
                Err::<(), _>(io::Error::from(errno)).context("there").with_code_of_place().unwrap_err();
            assert_eq!(code(&error), expected);
        }
    }

    #[test]
    fn a_full_disk_has_a_hint_in_every_kind_of_error() {
        assert_eq!(hints(&anyhow!(full()).context("cannot write")), [storage::FREE_SPACE]);
        assert_eq!(hints(&anyhow!(io::Error::other(full()))), [storage::FREE_SPACE]);
        assert_eq!(hints(&anyhow!(io::Error::other(Errno::DQUOT))), [storage::FREE_SPACE]);
        let in_library = safetensors::SafeTensorError::IoError(full());
        assert_eq!(hints(&anyhow!(in_library)), [storage::FREE_SPACE]);
        assert!(hints(&anyhow!(io::Error::from(Errno::IO))).is_empty());
        assert!(hints(&anyhow!("No space left on device (os error 28)")).is_empty());
    }

    #[test]
    fn the_hint_for_a_file_that_cannot_be_written_depends_on_the_reason() {
        let hint = |errno: Errno| {
            let error = Err::<(), _>(io::Error::from(errno)).context("cannot write `x`").with_write_hint();
            hints(&error.unwrap_err()).join("; ")
        };
        assert_eq!(hint(Errno::NOSPC), storage::FREE_SPACE);
        assert!(hint(Errno::ACCESS).contains("right to write"));
        assert!(hint(Errno::ROFS).contains("file system"));
        assert!(hint(Errno::IO).contains("free space and permissions"));
    }
}
