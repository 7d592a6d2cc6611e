//! Any bytes, of any format, all the way to views: nothing panics, and every kind of CPU gives the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pipeline_fuzz::render(bytes));
