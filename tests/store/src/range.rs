//! The `Range` header.

use std::ops::Range;

/// What a request wants of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Everything,
    /// A part within the object, which is not empty.
    Part(Range<u64>),
    /// A range that begins behind the object's end, or an empty one.
    Nothing,
}

/// Returns what a `Range` header wants of an object of the given length. A header of another form than
/// `bytes=1-2`, `bytes=1-` or `bytes=-2` wants everything, as HTTP has it; so do several ranges.
pub(crate) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some((first, last)) = header.and_then(bounds) else { return Wanted::Everything };
    let range = match (first, last) {
        (Some(first), Some(last)) if last < first => return Wanted::Everything,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) => first..length,
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (None, None) => return Wanted::Everything,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

/// The two numbers of a header with one range, of which one may lack.
fn bounds(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    Some((number(first)?, number(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end_of_the_object() {
        let of_ten = |header| wanted(Some(header), 10);
        assert_eq!(of_ten("bytes=2-4"), Wanted::Part(2..5));
        assert_eq!(of_ten("bytes=2-400"), Wanted::Part(2..10));
        assert_eq!(of_ten("bytes=2-18446744073709551615"), Wanted::Part(2..10));
        assert_eq!(of_ten("bytes=9-"), Wanted::Part(9..10));
        assert_eq!(of_ten("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(of_ten("bytes=-30"), Wanted::Part(0..10));
    }

    #[test]
    fn ranges_without_a_byte_are_refused_and_others_ignored() {
        for nothing in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(wanted(Some(nothing), 10), Wanted::Nothing, "{nothing}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        for ignored in ["bytes=3-2", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=1"] {
            assert_eq!(wanted(Some(ignored), 10), Wanted::Everything, "{ignored}");
        }
        assert_eq!(wanted(None, 10), Wanted::Everything);
    }
}
