//! Panics of `tch` as errors.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::failure::Failure;

thread_local! {
    /// Whether a panic of this thread will be returned as an error and need not be printed.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and returns the failure of its tensor operations, which `tch` raises as panics. Other panics
/// pass through.
///
/// Whatever `work` changed before it failed stays changed.
///
/// # Errors
/// libtorch's failure.
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

/// Returns the failure in a panic of `tch` or of this crate; `None` for other panics.
fn failure(payload: &(dyn Any + Send)) -> Option<Failure> {
    if let Some(failure) = payload.downcast_ref::<Failure>() {
        return Some(failure.clone());
    }
    Failure::from_panic(payload.downcast_ref::<String>()?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn a_failed_tensor_operation_is_an_error() {
        let zeros = |size: i64| Tensor::zeros([size, size], (Kind::Float, Device::Cpu));
        let failed = caught(|| zeros(2).matmul(&zeros(3))).unwrap_err();
        assert!(failed.message.contains("2x2") && failed.message.contains("3x3"), "{failed}");
        assert!(!failed.is_out_of_memory && !failed.message.contains('\n'));
        assert_eq!(caught(|| zeros(2).matmul(&zeros(2)).size()).unwrap(), [2, 2]);
    }

    #[test]
    fn out_of_memory_is_distinguished_from_other_failures() {
        let failed = caught(|| Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu))).unwrap_err();
        assert!(failed.is_out_of_memory, "{failed}");
    }

    #[test]
    fn other_panics_pass_through() {
        let caught_outside = panic::catch_unwind(|| caught(|| panic!("a panic that must get through")));
        assert!(caught_outside.is_err());
    }
}
