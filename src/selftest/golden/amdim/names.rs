//! The names of tensors in the reference implementation, which wraps its encoder in a module.

/// Returns the name in this program of a tensor of the reference implementation.
pub(super) fn own_name(reference: &str) -> String {
    reference.replace("encoder.module.", "encoder.")
}

/// Returns the name in the reference implementation of a tensor of this program.
pub fn reference_name(name: &str) -> String {
    match name.strip_prefix("encoder.") {
        Some(rest) => format!("encoder.module.{rest}"),
        None => name.to_owned(),
    }
}
