//! Any bytes as an export or a file of `torch.save`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amdim_stream_fuzz::import(bytes));
