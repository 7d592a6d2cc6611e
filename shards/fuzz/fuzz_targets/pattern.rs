//! Fuzzes patterns with any text.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| shards_fuzz::pattern(text));
