//! Guards of mappings, and the signal handler.

use std::{mem, ptr, sync::Once};

use super::{
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    slot::Slot,
};

/// The most mappings that can be guarded at a time. Some 2,000 shards are open; more live on in waiting
/// samples.
const SLOTS: usize = 4096;

static TABLE: [Slot; SLOTS] = [const { free_slot() }; SLOTS];
/// The slot at which the search for a free one begins.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static INSTALL: Once = Once::new();
static PAGE: AtomicUsize = AtomicUsize::new(0);

const fn free_slot() -> Slot {
    Slot {
        taken: AtomicBool::new(false),
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        faulted: AtomicBool::new(false),
    }
}

/// A guard of a mapping. It must be dropped before the mapping is.
#[derive(Debug)]
pub(crate) struct Guard {
    /// The guard's slot in the table; `None` if the table was full and the mapping is unguarded.
    slot: Option<usize>,
}

impl Guard {
    pub(crate) fn new(mapping: &[u8]) -> Self {
        INSTALL.call_once(install);
        let (start, length) = (mapping.as_ptr() as usize, mapping.len());
        let takes = |number: &usize| TABLE[*number].take(start, length);
        // The search begins after the slot taken last, so that it need not pass over many taken ones each
        // time.
        let from = NEXT.load(SeqCst);
        let slot = (from..SLOTS).chain(0..from).find(takes);
        NEXT.store(slot.map_or(0, |slot| (slot + 1) % SLOTS), SeqCst);
        if slot.is_none() {
            tracing::debug!("more than {SLOTS} shards are mapped; one is not guarded");
        }
        Self { slot }
    }

    /// Returns whether the mapping is guarded at all.
    pub(crate) fn is_set(&self) -> bool {
        self.slot.is_some()
    }

    /// Returns whether a page of the mapping could not be read.
    pub(crate) fn has_faulted(&self) -> bool {
        self.slot.is_some_and(|number| TABLE[number].faulted.load(SeqCst))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(number) = self.slot {
            TABLE[number].free();
        }
    }
}

/// The action for SIGBUS before ours; written once, before our handler can run.
static mut PREVIOUS: mem::MaybeUninit<libc::sigaction> = mem::MaybeUninit::uninit();

#[expect(unsafe_code, reason = "signal handlers are installed by system calls")]
fn install() {
    // SAFETY: `sysconf` has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    PAGE.store(usize::try_from(page).unwrap_or(4096), SeqCst);
    // SAFETY: all-zero bytes are a valid `sigaction`; its fields are set below.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_bus_error as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `action` is a complete action whose handler does only what a signal handler may (see there).
    // `PREVIOUS` is only written here, inside a `Once`, and only read by the handler, which cannot run before
    // this call.
    let installed = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, (&raw mut PREVIOUS).cast()) };
    if installed != 0 {
        tracing::debug!("cannot handle SIGBUS: {}", std::io::Error::last_os_error());
    }
}

/// Maps a page of zeros in place of a guarded page that could not be read. Calls only `mmap` and `sigaction`,
/// takes no lock and allocates nothing.
#[expect(unsafe_code, reason = "signal handlers work on raw addresses")]
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `siginfo_t`, whose `si_addr` is the address touched
    // in a SIGBUS.
    let address = unsafe { (*info).si_addr() } as usize;
    if let Some(slot) = TABLE.iter().find(|slot| slot.holds(address)) {
        let page = PAGE.load(SeqCst);
        let start = (address & !(page - 1)) as *mut libc::c_void;
        let (rights, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
        slot.faulted.store(true, SeqCst);
        // SAFETY: the page lies in a live mapping of ours, which is only read and has no page there to lose:
        // whoever touched it holds the mapping. Unmapping later covers pages of either kind.
        if unsafe { libc::mmap(start, page, rights, flags, -1, 0) } != libc::MAP_FAILED {
            return; // the access is repeated and succeeds
        }
    }
    // SAFETY: `PREVIOUS` was set before this handler was installed. Returning repeats the access, which then
    // has the effect that it would have had without this handler.
    unsafe { libc::sigaction(signal, (&raw const PREVIOUS).cast(), ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use memmap2::Mmap;

    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "the test maps a file and cuts it")]
    fn a_missing_page_reads_as_zeros_and_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap().write_all(&vec![7; 100_000]).unwrap();
        // SAFETY: the test itself cuts the file below; nothing else touches it.
        let map = unsafe { Mmap::map(&File::open(&path).unwrap()).unwrap() };
        let guard = Guard::new(&map);
        File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
        assert!(map[..8192].iter().all(|&byte| byte == 7) && !guard.has_faulted());
        assert!(map[65_536..].iter().all(|&byte| byte == 0) && guard.has_faulted());
        drop(guard);
        assert!(!Guard::new(&[1]).has_faulted());
    }
}
