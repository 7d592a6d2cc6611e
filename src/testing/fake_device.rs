//! A device whose work lags behind the host, and which shows every missing wait as wrong data.

use std::{
    ffi::{CString, c_int},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use torch_sys::C_tensor;
use torchkit::Accelerator;

/// Launches a kernel that finds the least and the greatest byte of a tensor.
pub(crate) type Range = unsafe extern "C" fn(*mut C_tensor, *mut i32);

/// Sets the microseconds that a copy and a kernel take.
pub(crate) type Delays = extern "C" fn(c_int, c_int);

/// Keeps the current stream busy until `let_go` is called or the given milliseconds have passed.
pub(crate) type Hold = extern "C" fn(c_int);

/// Ends the work that `hold` started.
pub(crate) type LetGo = extern "C" fn();

/// The functions of a fake device that lags behind the host (`torchkit/cxx/fake_device.cpp`).
pub(crate) struct Fake {
    pub(crate) accelerator: Accelerator,
    pub(crate) range: Range,
    pub(crate) delays: Delays,
    pub(crate) hold: Hold,
    pub(crate) let_go: LetGo,
}

#[expect(unsafe_code, reason = "the fake device is a library that is loaded at run time")]
pub(crate) fn fake() -> &'static Fake {
    static FAKE: OnceLock<Fake> = OnceLock::new();
    FAKE.get_or_init(|| {
        let path = CString::new(env!("AMDIM_FAKE_DEVICE")).unwrap();
        // SAFETY: build.rs built the library from `fake_device.cpp`; it is never unloaded, and its
        // functions have these types.
        unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
            assert!(!library.is_null(), "{path:?} cannot be loaded");
            let kind = libc::dlsym(library, c"amdim_fake_device_type".as_ptr());
            let range = libc::dlsym(library, c"amdim_fake_range".as_ptr());
            let delays = libc::dlsym(library, c"amdim_fake_delays".as_ptr());
            let hold = libc::dlsym(library, c"amdim_fake_hold".as_ptr());
            let let_go = libc::dlsym(library, c"amdim_fake_let_go".as_ptr());
            assert!([kind, range, delays, hold, let_go].iter().all(|function| !function.is_null()));
            let hold = std::mem::transmute::<*mut libc::c_void, Hold>(hold);
            let let_go = std::mem::transmute::<*mut libc::c_void, LetGo>(let_go);
            let delays = std::mem::transmute::<*mut libc::c_void, Delays>(delays);
            let kind = std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> c_int>(kind);
            let range = std::mem::transmute::<*mut libc::c_void, Range>(range);
            Fake { accelerator: Accelerator::of_kind(kind()), range, delays, hold, let_go }
        }
    })
}

impl Fake {
    /// Reserves the device for one test: all threads share its delays and streams.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
