//! Any text as a pattern.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| shards_fuzz::pattern(text));
