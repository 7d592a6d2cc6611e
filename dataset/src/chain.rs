//! An error with its causes in one line.

use std::{error::Error, iter};

/// Joins the first lines of an error's message and of its causes' messages in one line.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| (*error).source());
    let first_line = |error: &dyn Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    causes.map(first_line).collect::<Vec<_>>().join(": ")
}
