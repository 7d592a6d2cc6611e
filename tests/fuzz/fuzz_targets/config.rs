//! Any text as a configuration file.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| amdim_stream_fuzz::config(text));
