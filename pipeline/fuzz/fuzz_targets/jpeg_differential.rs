//! Any bytes: every CPU's decoder says the same, and so does libjpeg-turbo of what they accept.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pipeline_fuzz::differential(bytes));
