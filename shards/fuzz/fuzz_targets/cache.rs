//! Any bytes as the index of a shard that lies in the cache, under a checksum that holds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shards_fuzz::cache(bytes));
