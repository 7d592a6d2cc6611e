//! The inventory of a set: its contents, and seemingly missing shards.

use std::collections::BTreeMap;

use serde::Serialize;
use shards::ShardSet;

/// The most missing names of a sequence that are listed; the others are counted.
const NAMED: usize = 5;

/// The contents of a set of shards, counted from its index without reading images.
#[derive(Debug, Serialize)]
pub struct Inventory {
    /// The number of shards.
    pub shards: usize,
    /// The number of samples, including those whose images cannot be read.
    pub samples: u64,
    /// The bytes of all shards.
    pub bytes: u64,
    /// The number of samples without a label.
    pub unlabelled: u64,
    /// The number of samples of each class; `None` if no sample is labelled.
    pub labels: Option<Histogram>,
    /// The numbers that are missing in the names of the shards.
    pub gaps: Vec<Gap>,
}

impl Inventory {
    /// Counts a set from its index.
    pub fn of(set: &ShardSet) -> Self {
        let labels = (0..set.len()).filter_map(|index| set.label(index));
        Self {
            shards: set.shards().len(),
            samples: set.len(),
            bytes: set.bytes(),
            unlabelled: set.len() - set.labelled(),
            labels: set.classes().map(|classes| Histogram::of(labels, classes as usize)),
            gaps: gaps(set.shards().iter().map(shards::ShardName::as_str)),
        }
    }
}

/// The number of samples of each class.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// The samples of the smallest class that has any.
    pub smallest: u64,
    /// The samples of the median class among those that have any.
    pub median: u64,
    /// The samples of the largest class.
    pub largest: u64,
    /// The number of labels below the largest one that no sample has.
    pub empty: usize,
    /// The samples of each class, by label.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Counts labels, all of which are below `classes`.
    fn of(labels: impl Iterator<Item = u32>, classes: usize) -> Self {
        let mut counts = vec![0; classes];
        labels.for_each(|label| counts[label as usize] += 1);
        let mut sizes: Vec<u64> = counts.iter().copied().filter(|&count| count > 0).collect();
        sizes.sort_unstable();
        let at = |place: usize| sizes.get(place).copied().unwrap_or(0);
        Self {
            smallest: at(0),
            median: at(sizes.len() / 2),
            largest: at(sizes.len().saturating_sub(1)),
            empty: classes - sizes.len(),
            counts,
        }
    }
}

/// Missing names in a sequence of numbered names.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first few of the missing names.
    pub missing: Vec<String>,
    /// The number of missing names.
    pub count: u64,
}

/// Finds gaps in sequences of names that differ only in the last number of the base name.
///
/// Numbers padded with zeros only form a sequence with those of their own width. Names of which more are
/// missing than present are not a sequence: their numbers are dates, or mean something else.
fn gaps<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Gap> {
    let mut alike: BTreeMap<_, Vec<(usize, u64)>> = BTreeMap::new();
    for (prefix, digits, suffix) in names.filter_map(numbered) {
        let Ok(number) = digits.parse() else { continue };
        alike.entry((prefix, suffix)).or_default().push((digits.len(), number));
    }
    let mut found = Vec::new();
    for ((prefix, suffix), numbers) in alike {
        let is_padded = numbers.iter().any(|&(width, number)| number.to_string().len() < width);
        let mut sequences: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (width, number) in numbers {
            sequences.entry(if is_padded { width } else { 0 }).or_default().push(number);
        }
        for (width, numbers) in sequences {
            found.extend(gap(numbers, |number| format!("{prefix}{number:0width$}{suffix}")));
        }
    }
    found
}

/// Splits a name into the text before its last number, the digits, and the text after them.
fn numbered(name: &str) -> Option<(&str, &str, &str)> {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let is_digit = |character: char| character.is_ascii_digit();
    let end = base + name[base..].rfind(is_digit)? + 1;
    let start = name[base..end].rfind(|character| !is_digit(character)).map_or(base, |before| {
        let at = base + before;
        at + name[at..].chars().next().map_or(0, char::len_utf8)
    });
    Some((&name[..start], &name[start..end], &name[end..]))
}

fn gap(mut numbers: Vec<u64>, name: impl Fn(u64) -> String) -> Option<Gap> {
    numbers.sort_unstable();
    numbers.dedup();
    let count = numbers.last()? - numbers.first()? - (numbers.len() as u64 - 1);
    let between = numbers.windows(2).flat_map(|pair| pair[0] + 1..pair[1]);
    (1..=numbers.len() as u64)
        .contains(&count)
        .then(|| Gap { missing: between.take(NAMED).map(name).collect(), count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(Vec<String>, u64)> {
        gaps(names.iter().copied()).into_iter().map(|gap| (gap.missing, gap.count)).collect()
    }

    #[test]
    fn a_missing_number_is_named_like_the_others() {
        assert_eq!(
            found(&["d2/train-000.tar", "d2/train-001.tar", "d2/train-003.tar"]),
            [(vec!["d2/train-002.tar".to_owned()], 1)]
        );
        assert_eq!(found(&["x8.tar", "x11.tar", "x10.tar"]), [(vec!["x9.tar".to_owned()], 1)]);
        assert_eq!(found(&["ü0-part2.tar", "ü0-part4.tar"]), [(vec!["ü0-part3.tar".to_owned()], 1)]);
    }

    #[test]
    fn names_that_differ_elsewhere_are_separate_sequences() {
        assert_eq!(found(&["a-00.tar", "a-01.tar", "b-04.tar", "a-000.tar", "c-07.tgz", "x.tar"]), []);
        assert_eq!(found(&["a-1.tar", "a-2.tgz", "a-3.tar"]), [(vec!["a-2.tar".to_owned()], 1)]);
    }

    #[test]
    fn only_a_handful_of_many_missing_names_is_listed() {
        let names: Vec<_> = (0..40).step_by(2).map(|number| format!("{number:03}.tar")).collect();
        let [(missing, count)] = &found(&names.iter().map(String::as_str).collect::<Vec<_>>())[..] else {
            panic!("one sequence");
        };
        assert_eq!((missing.len(), missing[0].as_str(), *count), (NAMED, "001.tar", 19));
    }

    #[test]
    fn numbers_far_apart_are_not_a_sequence() {
        assert_eq!(found(&["20240101.tar", "20240301.tar", "20250101.tar"]), []);
        assert_eq!(found(&["0.tar", "18446744073709551615.tar", "99999999999999999999.tar"]), []);
    }

    #[test]
    fn classes_are_counted_and_empty_ones_reported() {
        let histogram = Histogram::of([0, 4, 4, 1, 1, 1, 4, 4].into_iter(), 5);
        assert_eq!(histogram.counts, [1, 3, 0, 0, 4]);
        assert_eq!((histogram.smallest, histogram.median, histogram.largest), (1, 3, 4));
        assert_eq!(histogram.empty, 2);
    }
}
