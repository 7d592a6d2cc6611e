//! The hints of the crate `pipeline` in words.

use ::pipeline::Hint;

/// Puts a hint into words.
pub(super) fn words(hint: Hint) -> String {
    let words = match hint {
        Hint::AllowMore => {
            "allow more bad samples with --max-bad, or run `amdim-stream verify` to see what is wrong with them"
        }
        Hint::Verify => {
            "run `amdim-stream verify` with the same shards: it says what is wrong with each sample"
        }
        Hint::Budget => {
            "write a share such as `1%` or `1% after 1000 samples`, or a number of samples such as `100`"
        }
        Hint::Preset => "write `c10`, `stl10`, `in128` or `in224`",
        Hint::DecodeMode => "write `exact` or `fast`",
    };
    words.to_owned()
}
