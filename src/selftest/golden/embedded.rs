//! The cases in the program.

/// The files of a case.
pub(super) struct Embedded {
    pub(super) name: &'static str,
    /// The description, as JSON.
    pub(super) facts: &'static [u8],
    /// The tensors, as a safetensors file.
    pub(super) tensors: &'static [u8],
}

/// Lists files of `tests/fixtures` without their extensions.
macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(Embedded {
            name: $path,
            facts: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $path, ".json")),
            tensors: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $path, ".safetensors")),
        }),*]
    };
}

/// The smallest case of each method, and losses of given embeddings: 6.7 MB together.
pub(super) const EMBEDDED: &[Embedded] = embedded![
    "case_s32_bn0_d2",
    "methods/case_cmc_nce_r18w8_32",
    "methods/case_cpc_pre34_64",
    "methods/case_exemplar_small_32",
    "methods/case_moco_v1_r18w8_32",
    "methods/case_npid_nce_r18w8_32",
    "methods/case_simclr_r18w8_32",
    "methods/methods_loss_only",
];
