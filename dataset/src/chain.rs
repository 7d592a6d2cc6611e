//! An error with its causes in one line.

use std::{error::Error, iter};

/// Joins the messages of an error and its causes on one line, outermost first.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| (*error).source());
    // Some decoders print several lines.
    let flattened =
        |error: &dyn Error| error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
    causes.map(flattened).collect::<Vec<_>>().join(": ")
}
