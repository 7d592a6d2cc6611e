//! Bytes as a model that is imported.

use amdim_stream::exchange::import;

/// Reads `bytes` as an export or a file of `torch.save`, and checks the sizes. No model is made.
pub fn import(bytes: &[u8]) {
    if let Ok(foreign) = import::read(bytes) {
        import::check_sizes(&foreign).ok();
    }
}
