//! Tables of keys and values that ranks share.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{
    ffi::{CString, c_char, c_void},
    net::{IpAddr, Ipv4Addr},
    os::fd::IntoRawFd,
    sync::Arc,
    time::Duration,
};

use super::{
    address::{listen, own_address, port_of, reach},
    ffi::{self, RawStore},
    handle::Handle,
    within::{milliseconds, within},
};
use crate::{
    failure::{Failure, NetworkFault},
    ffi::check,
};

/// A table of keys and values that ranks share. Clones refer to the same table.
///
/// Any thread may use it. All errors are failures of the connection (see [`Failure::network`]), except where another
/// reason is given; a call that is not answered fails with [`NetworkFault::TimedOut`].
#[derive(Debug, Clone)]
pub struct Store {
    handle: Arc<Handle<RawStore>>,
    /// This machine's address in the direction of the store's; `None` leaves the choice to libtorch.
    address: Option<IpAddr>,
    port: Option<u16>,
    /// The time within which the store must answer.
    timeout: Duration,
}

impl Store {
    /// Makes a table in the memory of this process, for ranks that are its threads. It opens no socket.
    ///
    /// # Panics
    /// If libtorch fails.
    pub fn in_memory() -> Self {
        // SAFETY: `out` is a pointer to be written.
        let make = |out| unsafe { ffi::amdim_store_in_memory(out) };
        let handle = Handle::made(ffi::amdim_store_free, make);
        let handle = handle.unwrap_or_else(|failure| std::panic::panic_any(failure));
        let address = Some(Ipv4Addr::LOCALHOST.into());
        Self { handle: Arc::new(handle), address, port: None, timeout: Duration::from_secs(300) }
    }

    /// Connects to the table at `host` and `port`, and tries again until `timeout` is over. If `serve` is set, this
    /// process serves it, until the last clone is dropped: on the loopback interface only if `host` is a loopback
    /// address, and at a port that the system chooses if `port` is 0. Does not wait for other ranks.
    ///
    /// # Errors
    /// The address cannot be reached, or the port is in use (see [`Failure::network`]).
    pub fn connect(host: &str, port: u16, serve: bool, timeout: Duration) -> Result<Self, Failure> {
        // SAFETY: it sets a flag of libtorch.
        unsafe { ffi::amdim_quiet_c10d() };
        let host = host.to_owned();
        within(timeout, &format!("connecting to {host}:{port}"), move || {
            let listener = if serve { Some(listen(&host, port)?) } else { None };
            let port = match &listener {
                Some(listener) => port_of(listener)?,
                None => reach(&host, port, timeout).map(|()| port)?,
            };
            let name = text(&host)?;
            let listener = listener.map_or(-1, IntoRawFd::into_raw_fd); // libtorch closes it
            // SAFETY: the name is NUL-terminated; the store is written only on success.
            let make = |out| unsafe {
                ffi::amdim_store_connect(name.as_ptr(), port, listener, milliseconds(timeout), out)
            };
            let handle = Arc::new(Handle::made(ffi::amdim_store_free, make)?);
            Ok(Self { handle, address: own_address(&host, port), port: Some(port), timeout })
        })
    }

    /// Returns the part of the table whose keys begin with `prefix`, which is left out of the keys of its calls.
    ///
    /// # Panics
    /// If libtorch fails, or the prefix contains a NUL.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Self {
        let made = text(prefix).and_then(|prefix| {
            // SAFETY: the store is borrowed, and the prefix is NUL-terminated.
            let make = |out| unsafe { ffi::amdim_store_under(self.handle.raw(), prefix.as_ptr(), out) };
            Handle::made(ffi::amdim_store_free, make)
        });
        let handle = made.unwrap_or_else(|failure| std::panic::panic_any(failure));
        Self { handle: Arc::new(handle), ..self.clone() }
    }

    /// Returns the same table, whose calls fail where the server does not answer within `timeout`.
    #[must_use]
    pub fn answering_within(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Returns the port of the table's server; `None` for one in memory.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The connection failed.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let value = value.to_vec();
        // SAFETY: store, key and value live until the call returns.
        self.call(self.timeout, key, move |store, key| unsafe {
            check(ffi::amdim_store_set(store, key, value.as_ptr(), value.len()))
        })
    }

    /// Waits until a key is set and returns its value. Other threads can use the store meanwhile.
    ///
    /// # Errors
    /// The key was not set within `timeout`, or the connection failed.
    pub fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, Failure> {
        self.call(timeout, key, move |store, key| {
            let mut value = Vec::new();
            let to = (&raw mut value).cast::<c_void>();
            // SAFETY: store and key live until the call returns, and so does the value that `take` writes.
            check(unsafe { ffi::amdim_store_get(store, key, milliseconds(timeout), to, take) })?;
            Ok(value)
        })
        .map_err(|failure| match failure.network {
            Some(fault @ NetworkFault::TimedOut) => Failure::of_network(
                fault,
                format!("no value of the store's key {key} came within {timeout:?}"),
            ),
            _ => failure,
        })
    }

    /// Adds to the number of a key, which is 0 before, and returns the sum.
    ///
    /// # Errors
    /// The connection failed, or the key was set to something else than a number.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, Failure> {
        self.call(self.timeout, key, move |store, key| {
            let mut sum = 0;
            // SAFETY: store and key live until the call returns; the sum is written.
            check(unsafe { ffi::amdim_store_add(store, key, amount, &raw mut sum) })?;
            Ok(sum)
        })
    }

    /// Returns whether a key is set.
    ///
    /// # Errors
    /// The connection failed.
    pub fn has(&self, key: &str) -> Result<bool, Failure> {
        self.call(self.timeout, key, move |store, key| {
            let mut has = 0;
            // SAFETY: store and key live until the call returns; the answer is written.
            check(unsafe { ffi::amdim_store_has(store, key, &raw mut has) })?;
            Ok(has != 0)
        })
    }

    /// Calls a function of the store with a key; at most for `timeout`, and a second.
    fn call<T: Send + 'static>(
        &self,
        timeout: Duration,
        key: &str,
        work: impl FnOnce(*mut RawStore, *const c_char) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let name = text(key)?;
        let handle = Arc::clone(&self.handle);
        let work = move || work(handle.raw(), name.as_ptr());
        // The table in memory always answers.
        if self.port.is_none() { work() } else { within(timeout, &format!("the store's key {key}"), work) }
    }

    pub(super) fn handle(&self) -> &Arc<Handle<RawStore>> {
        &self.handle
    }

    /// Returns the address at which other ranks can reach this one; `None` leaves the choice to libtorch.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// Appends a value to the `Vec<u8>` behind `to`.
unsafe extern "C" fn take(to: *mut c_void, value: *const u8, length: usize) {
    // SAFETY: `get` passes its vector, which nobody else uses meanwhile.
    let to = unsafe { &mut *to.cast::<Vec<u8>>() };
    if length > 0 {
        // SAFETY: the caller passes `length` bytes that live until this returns.
        to.extend_from_slice(unsafe { std::slice::from_raw_parts(value, length) });
    }
}

/// Returns a NUL-terminated copy.
pub(super) fn text(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::new(format!("{text:?} contains a NUL")))
}
