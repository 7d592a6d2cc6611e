//! The error of a failed call into libtorch.

use std::{error::Error, fmt};

/// A call into libtorch that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The first line of libtorch's message.
    pub message: String,
    /// Whether the call failed for lack of memory, on the device or the host.
    pub is_out_of_memory: bool,
    /// What failed between processes; `None` for other failures.
    pub network: Option<NetworkFault>,
}

/// A failure between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    /// No answer came in time.
    TimedOut,
    /// A peer closed its connection, as it does when it ends.
    PeerLost,
    /// Another program uses the port that this process was to serve.
    PortInUse,
    /// The address is wrong, or nobody listens there.
    Unreachable,
}

impl NetworkFault {
    /// Recognizes a fault by the words of libtorch's message.
    fn from_text(text: &str) -> Option<Self> {
        const LATE: [&str; 4] =
            ["Timed out waiting", "timeout caused pair closure", "ait timeout", "Operation timed out"];
        const LOST: [&str; 5] = [
            "Connection closed by peer",
            "Connection reset by peer",
            "Connection was likely closed",
            "Broken pipe",
            "Socket closed",
        ];
        if LATE.iter().any(|words| text.contains(words)) {
            Some(Self::TimedOut)
        } else if LOST.iter().any(|words| text.contains(words)) {
            Some(Self::PeerLost)
        } else {
            text.contains("Connection refused").then_some(Self::Unreachable)
        }
    }
}

impl Failure {
    /// Makes a failure that does not come from libtorch.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_out_of_memory: false, network: None }
    }

    /// Makes a failure between processes that does not come from libtorch.
    pub(crate) fn of_network(fault: NetworkFault, message: impl Into<String>) -> Self {
        Self { network: Some(fault), ..Self::new(message) }
    }

    /// Makes a failure from libtorch's message, of which the first line is kept.
    ///
    /// A lack of memory is recognized by the words of the message: cuBLAS, cuDNN, a driver that fails to
    /// initialize and the CPU's allocator throw the same exception for it as for other failures, and `tch`
    /// keeps only the text of an exception.
    pub(crate) fn from_text(text: &str) -> Self {
        const OF_MEMORY: [&str; 6] = [
            "out of memory",
            "can't allocate memory",
            "ALLOC_FAILED",
            "ALLOCATION_FAILED",
            // libtorch tries every algorithm of cuDNN and skips those for which memory is lacking; none was
            // left.
            "was unable to find an engine",
            "Unable to find a valid cuDNN algorithm",
        ];
        let is_out_of_memory = OF_MEMORY.iter().any(|words| text.contains(words));
        let message = without_source(text.lines().next().unwrap_or("libtorch failed")).to_owned();
        Self { message, is_out_of_memory, network: NetworkFault::from_text(text) }
    }

    /// Takes libtorch's message from the message of a panic in which `tch` quotes it. Returns `None` for
    /// other panics.
    pub(crate) fn from_panic(panic: &str) -> Option<Self> {
        let (_, quoted) = panic.split_once(" value: Torch(\"")?;
        // The lines after the first one are a backtrace.
        let said = quoted.split("\\n").next()?;
        let said = said.trim_end_matches("\")").replace("\\\"", "\"");
        // The place of the check in libtorch's source says nothing to a user.
        Some(Self::from_text(said.split_once("] err == 0. ").map_or(&*said, |(_, said)| said)))
    }
}

/// Returns a message of gloo without the place in its source, `[/folder/file.cc:12] `.
fn without_source(message: &str) -> &str {
    match message.split_once("] ") {
        Some((place, message)) if place.starts_with("[/") && place.contains(".cc:") => message,
        _ => message,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_memory_is_recognized_by_the_words_of_every_library() {
        let for_want_of_memory = [
            "CUDA out of memory. Tried to allocate 2.00 GiB.",
            "CUDA error: out of memory",
            "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
            "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
            "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
            "FIND was unable to find an engine to execute this computation",
            "GET was unable to find an engine to execute this computation",
            "Unable to find a valid cuDNN algorithm to run convolution",
        ];
        let for_other_reasons = [
            "CUDA error: an illegal memory access was encountered",
            "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
            "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        ];
        let told = |message: &str| Failure::from_text(message).is_out_of_memory;
        for message in for_want_of_memory {
            assert!(told(message), "{message}");
        }
        for message in for_other_reasons {
            assert!(!told(message), "{message}");
        }
    }

    #[test]
    fn faults_between_processes_are_recognized_by_the_words_of_gloo_and_the_store() {
        use NetworkFault::{PeerLost, TimedOut, Unreachable};
        for (text, fault) in [
            (
                "[/g/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 700ms for recv operation to complete",
                TimedOut,
            ),
            ("Application timeout caused pair closure", TimedOut),
            ("wait timeout after 500ms, keys: /key", TimedOut),
            ("Operation timed out!", TimedOut),
            ("[/g/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:19860", PeerLost),
            ("Read error [127.0.0.1]:19860: Connection reset by peer", PeerLost),
            ("Failed to recv, got 0 bytes. Connection was likely closed.", PeerLost),
            ("Broken pipe", PeerLost),
            ("connect [127.0.0.1]:19860: Connection refused", Unreachable),
        ] {
            let failure = Failure::from_text(text);
            assert_eq!(failure.network, Some(fault), "{text}");
            assert!(!failure.message.contains(".cc:") && text.ends_with(&failure.message), "{failure}");
        }
        assert_eq!(Failure::from_text("mat1 and mat2 shapes cannot be multiplied").network, None);
    }

    #[test]
    fn a_panic_that_quotes_libtorch_gives_its_first_line_and_other_panics_give_none() {
        let panic = "called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail] err == 0. can't allocate \\\"8\\\" bytes\\nframe #0\")";
        let failure = Failure::from_panic(panic).unwrap();
        assert_eq!(failure.message, "can't allocate \"8\" bytes");
        assert_eq!(Failure::from_panic("called `Option::unwrap()` on a `None` value"), None);
        assert_eq!(Failure::from_text("first\nsecond: out of memory").message, "first");
    }
}
