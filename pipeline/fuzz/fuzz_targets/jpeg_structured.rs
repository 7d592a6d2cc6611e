//! Fuzzes the JPEG decoder with files made of the input: all instruction sets agree, and libjpeg-turbo agrees
//! on accepted files.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pipeline_fuzz::structured(bytes));
