//! Fuzzes shards with any bytes: nothing panics, and the `tar` crate finds the same samples in what both
//! accept.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| shards_fuzz::shard(bytes));

// Three of four inputs get valid header checksums.
fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(bytes, size, max_size);
    if !seed.is_multiple_of(4) {
        shards_fuzz::seal_headers(&mut bytes[..size]);
    }
    size
});
