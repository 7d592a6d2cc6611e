//! Exchange of encoders with other programs: export and import.

pub mod export;
pub mod import;
