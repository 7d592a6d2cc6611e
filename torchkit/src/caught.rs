//! Errors that `tch` raises by panicking.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::failure::Failure;

thread_local! {
    /// Whether a panic of this thread will be reported as an error, and need not be printed.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does work whose tensor operations may fail: what they say is an error then, not the end of the thread. Other panics go
/// their way.
///
/// Whatever `work` changed up to then stays changed.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CAUGHT.get() || failure(info.payload()).is_none() {
                usual(info);
            }
        }));
    });
    let was_caught = IS_CAUGHT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(was_caught);
    done.map_err(|payload| failure(&*payload).unwrap_or_else(|| panic::resume_unwind(payload)))
}

/// What libtorch says in a panic of `tch`'s, or ours in its place; none where the panic is another one.
fn failure(payload: &(dyn Any + Send)) -> Option<Failure> {
    if let Some(failure) = payload.downcast_ref::<Failure>() {
        return Some(failure.clone());
    }
    Failure::quoted(payload.downcast_ref::<String>()?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_a_tensor_operation_complains_of_is_an_error() {
        let zeros = |size: i64| Tensor::zeros([size, size], (Kind::Float, Device::Cpu));
        let failed = caught(|| zeros(2).matmul(&zeros(3))).unwrap_err();
        assert!(failed.message.contains("2x2") && failed.message.contains("3x3"), "{failed}");
        assert!(!failed.is_out_of_memory && !failed.message.contains('\n'));
        assert_eq!(caught(|| zeros(2).matmul(&zeros(2)).size()).unwrap(), [2, 2]);
    }

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        let failed = caught(|| Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu))).unwrap_err();
        assert!(failed.is_out_of_memory, "{failed}");
    }

    #[test]
    fn other_panics_are_not_held_up() {
        let caught_outside = panic::catch_unwind(|| caught(|| panic!("a panic that must get through")));
        assert!(caught_outside.is_err());
    }
}
