//! Any bytes as the files of a checkpoint.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amdim_stream_fuzz::checkpoint(bytes));
