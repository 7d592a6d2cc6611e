//! What can be changed while a server runs.

use std::time::Duration;

/// The name of the storage account of Azure's emulators.
pub(crate) const EMULATOR_ACCOUNT: &str = "devstoreaccount1";

/// The settings of a server.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) delay: Duration,
    /// In bytes a second and connection.
    pub(crate) rate: Option<u64>,
    /// The largest number of names in an answer.
    pub(crate) page: usize,
    pub(crate) requires_authorization: bool,
    /// The account that precedes the container in paths of Azure.
    pub(crate) account: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            rate: None,
            page: 1000,
            requires_authorization: false,
            account: EMULATOR_ACCOUNT.to_owned(),
        }
    }
}
