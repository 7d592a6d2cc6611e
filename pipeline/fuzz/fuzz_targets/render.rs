//! Fuzzes rendering from bytes of any format to views: nothing panics, and all instruction sets agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pipeline_fuzz::render(bytes));
