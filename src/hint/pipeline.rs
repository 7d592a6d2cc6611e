//! Hints of crate `pipeline` in words.

use ::pipeline::Hint;

/// A hint in words.
pub(super) fn words(hint: Hint) -> String {
    let words = match hint {
        Hint::AllowMore => {
            "allow more bad samples with --max-bad, or find out with `amdim-stream verify` what is wrong with them"
        }
        Hint::Budget => {
            "write a share such as `1%` or `1% after 1000 samples`, or a number of samples such as `100`"
        }
        Hint::Preset => "write `c10`, `stl10` or `in128`",
        Hint::DecodeMode => "write `exact` or `fast`",
    };
    words.to_owned()
}
