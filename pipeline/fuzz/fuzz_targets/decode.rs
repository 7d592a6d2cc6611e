//! Fuzzes the decoding of whole images of any format: nothing panics, and header and pixels agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pipeline_fuzz::decode(bytes));
