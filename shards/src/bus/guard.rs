//! Guards mappings, and handles the signal.

use std::{mem, ptr, sync::Once};

use super::{
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    slot::Slot,
};

/// Mappings that can be guarded at a time. Some 2,000 shards are open; more live on in samples that wait.
const SLOTS: usize = 4096;

static TABLE: [Slot; SLOTS] = [const { free_slot() }; SLOTS];
/// Where to look for a free place first.
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

/// Guards a mapping for as long as it lives; it has to be dropped before the mapping is.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Its place in the table; `None` when that was full, and the mapping is unguarded.
    slot: Option<usize>,
}

impl Guard {
    pub(crate) fn new(mapping: &[u8]) -> Self {
        INSTALL.call_once(install);
        let (start, length) = (mapping.as_ptr() as usize, mapping.len());
        let takes = |number: &usize| TABLE[*number].take(start, length);
        // From the last one taken on, so that many mappings need not be passed over each time.
        let from = NEXT.load(SeqCst);
        let slot = (from..SLOTS).chain(0..from).find(takes);
        NEXT.store(slot.map_or(0, |slot| (slot + 1) % SLOTS), SeqCst);
        if slot.is_none() {
            tracing::debug!("more than {SLOTS} shards are mapped; one is not guarded");
        }
        Self { slot }
    }

    /// Whether it guards at all.
    pub(crate) fn is_set(&self) -> bool {
        self.slot.is_some()
    }

    /// Whether a page could not be read.
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

/// What SIGBUS would have done without us; written once, before our handler can run.
static mut PREVIOUS: mem::MaybeUninit<libc::sigaction> = mem::MaybeUninit::uninit();

#[expect(unsafe_code, reason = "signals are the system's business")]
fn install() {
    // SAFETY: `sysconf` has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    PAGE.store(usize::try_from(page).unwrap_or(4096), SeqCst);
    // SAFETY: all-zero bytes are a valid `sigaction`; its fields are set below.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_bus_error as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `action` is a complete action whose handler does only what a signal handler may (see there). `PREVIOUS` is
    // written here alone, inside a `Once`, and read only by the handler, which cannot run before this call.
    let installed = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, (&raw mut PREVIOUS).cast()) };
    if installed != 0 {
        tracing::debug!("SIGBUS cannot be taken: {}", std::io::Error::last_os_error());
    }
}

/// Puts a page of zeros where a guarded one could not be read. Calls only `mmap` and `sigaction`, takes no lock and
/// allocates nothing.
#[expect(unsafe_code, reason = "signals are the system's business")]
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `siginfo_t`, and of a SIGBUS `si_addr` is the address touched.
    let address = unsafe { (*info).si_addr() } as usize;
    if let Some(slot) = TABLE.iter().find(|slot| slot.holds(address)) {
        let page = PAGE.load(SeqCst);
        let start = (address & !(page - 1)) as *mut libc::c_void;
        let (rights, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
        slot.faulted.store(true, SeqCst);
        // SAFETY: the page lies in a live mapping of ours, which is only read and has no page there to lose: whoever
        // touched it holds the mapping. Later unmapping covers pages of either kind.
        if unsafe { libc::mmap(start, page, rights, flags, -1, 0) } != libc::MAP_FAILED {
            return; // and the reading is tried again
        }
    }
    // SAFETY: `PREVIOUS` was filled before this handler was installed. Returning repeats the access, which then takes
    // its former course.
    unsafe { libc::sigaction(signal, (&raw const PREVIOUS).cast(), ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use memmap2::Mmap;

    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "the test maps a file and cuts it")]
    fn a_page_that_is_gone_reads_as_zeros_and_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap().write_all(&vec![7; 100_000]).unwrap();
        // SAFETY: the file is cut below, which is what is tested.
        let map = unsafe { Mmap::map(&File::open(&path).unwrap()).unwrap() };
        let guard = Guard::new(&map);
        File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
        assert!(map[..8192].iter().all(|&byte| byte == 7) && !guard.has_faulted());
        assert!(map[65_536..].iter().all(|&byte| byte == 0) && guard.has_faulted());
        drop(guard);
        assert!(!Guard::new(&[1]).has_faulted());
    }
}
