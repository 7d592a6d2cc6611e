//! An error with hints and an exit code, and the search for errors in a chain.

use std::{error::Error, fmt, io, iter};

use crate::exit::Code;

/// An error in a chain.
pub(super) type Cause<'a> = &'a (dyn Error + 'static);

/// An error with hints and an exit code.
///
/// It is displayed as the inner error and has the causes of that error, so that no message is printed twice.
#[derive(Debug)]
pub struct Hinted {
    pub(super) error: anyhow::Error,
    pub(super) hints: Vec<String>,
    pub(super) code: Option<Code>,
}

impl Hinted {
    /// Returns an error that ends the program with `code`.
    pub fn error(code: Code, message: String, hints: Vec<String>) -> anyhow::Error {
        anyhow::Error::new(Self { error: anyhow::Error::msg(message), hints, code: Some(code) })
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<Cause<'_>> {
        self.error.source()
    }
}

/// Returns the exit code that an error ends the program with: the outermost one in its chain, or
/// [`Code::Failed`].
pub fn code(error: &anyhow::Error) -> Code {
    let of_dataset = |error: &dataset::Error| error.is_misuse().then_some(Code::Usage);
    let codes = |cause: Cause<'_>| match cause.downcast_ref::<Hinted>() {
        Some(hinted) => hinted.code,
        None => cause.downcast_ref().and_then(of_dataset),
    };
    walk(error).find_map(codes).unwrap_or(Code::Failed)
}

/// Returns the first error of type `E` in a chain, including errors with hints.
pub fn find<E: Error + 'static>(error: &anyhow::Error) -> Option<&E> {
    walk(error).find_map(|cause| cause.downcast_ref())
}

/// Iterates over the errors of a chain, outermost first, including errors that others wrap without naming
/// them as their source.
pub(super) fn walk(error: &anyhow::Error) -> impl Iterator<Item = Cause<'_>> {
    error.chain().flat_map(|link| iter::successors(Some(link), |cause| wrapped(*cause)))
}

/// Returns the error that `cause` wraps transparently, with its message and source.
fn wrapped(cause: Cause<'_>) -> Option<Cause<'_>> {
    if let Some(hinted) = cause.downcast_ref::<Hinted>() {
        return Some(hinted.error.as_ref());
    }
    if let Some(error) = cause.downcast_ref::<dataset::Error>() {
        return match error {
            dataset::Error::Shards(error) => Some(error),
            dataset::Error::Pipeline(error) => Some(error),
            _ => None,
        };
    }
    let inside = cause.downcast_ref::<io::Error>()?.get_ref()?;
    Some(inside)
}

/// Makes an error that ends the program with [`Code::Failed`] from a format string and hints:
/// `failure!("cannot read `{path}`"; "check its permissions")`.
#[macro_export]
macro_rules! failure {
    ($message:literal $(, $argument:expr)* $(,)? $(; $hint:literal $(, $of_hint:expr)* $(,)?)*) => {
        $crate::hint::Hinted::error(
            $crate::exit::Code::Failed,
            format!($message $(, $argument)*),
            vec![$(format!($hint $(, $of_hint)*)),*],
        )
    };
}

/// Makes an error that ends the program with [`Code::Usage`]. The arguments are those of
/// [`failure!`](crate::failure).
#[macro_export]
macro_rules! usage {
    ($message:literal $(, $argument:expr)* $(,)? $(; $hint:literal $(, $of_hint:expr)* $(,)?)*) => {
        $crate::hint::Hinted::error(
            $crate::exit::Code::Usage,
            format!($message $(, $argument)*),
            vec![$(format!($hint $(, $of_hint)*)),*],
        )
    };
}
