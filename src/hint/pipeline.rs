//! Hints of crate `pipeline` in words.

use ::pipeline::Hint;

/// A hint in words.
pub(super) fn words(hint: Hint) -> String {
    match hint {
        Hint::Budget => "allow more bad samples with --max-bad, or find out with `amdim-stream verify` what is wrong with them".to_owned(),
    }
}
