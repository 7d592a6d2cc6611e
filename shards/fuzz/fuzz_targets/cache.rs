//! Fuzzes the reading of cached indices: any bytes, under a valid checksum.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shards_fuzz::cache(bytes));
