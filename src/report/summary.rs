//! The verdict on a run in plain words, for the end of a run in a terminal.

use std::path::Path;

use anyhow::Result;

use super::{subject::Subject, verdict};

/// Returns the verdict on the run in a folder as lines of plain text that fit into so many columns, without the
/// sentence on how it ended.
///
/// # Errors
///
/// If the folder contains no run, or its files cannot be read.
pub(crate) fn summary(folder: &Path, columns: usize) -> Result<Vec<String>> {
    let run = Subject::without_samples(folder)?;
    let sentences = verdict::sentences(&run).into_iter().skip(1);
    Ok(sentences.flat_map(|sentence| wrapped(&plain(&sentence.1), columns)).collect())
}

/// Breaks an item of a list into lines of at most so many columns, where words allow it.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec!["-".to_owned()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is a line");
        if last.chars().count() + 1 + word.chars().count() < columns || last.trim().len() <= 1 {
            *last += " ";
            *last += word;
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines
}

/// Returns the text of HTML without its tags.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text += before;
        let (tag, after) = tag.split_once('>').unwrap_or((tag, ""));
        if matches!(tag, "code" | "/code") {
            text.push('`');
        }
        rest = after;
    }
    text += rest;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text, |text, (entity, letter)| text.replace(entity, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_left_out_and_entities_are_letters() {
        let html = "<b>It learns</b>: a &lt; b &amp;&amp; <code>--lr</code> is <bdi>&quot;x&quot;</bdi>.";
        assert_eq!(plain(html), "It learns: a < b && `--lr` is \"x\".");
    }

    #[test]
    fn a_sentence_is_broken_between_words() {
        assert_eq!(wrapped("one two three four", 12), ["- one two", "  three", "  four"]);
        assert_eq!(wrapped("indivisible", 4), ["- indivisible"]);
    }
}
