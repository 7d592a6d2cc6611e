//! Images that need more memory than there is. The process has no other test, since all of it is short of
//! memory then.

use pipeline::{Decoder, Error, Rgb};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const SIDE: u32 = 4096;

/// Makes a lossless WebP with one colour, whose pixels take no bits.
fn webp() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(SIDE - 1, 14);
    bits.put(SIDE - 1, 14);
    bits.put(0, 1 + 3); // no alpha, version 0
    bits.put(0, 3); // no transform, no colour cache, no groups of codes
    for _ in 0..5 {
        bits.put(1, 4); // a code of one symbol, which is 0
    }
    let mut pixels = vec![0x2F];
    pixels.extend_from_slice(&bits.value.to_le_bytes()[..9]);
    let chunk = [b"VP8L", &(pixels.len() as u32).to_le_bytes()[..], &pixels].concat();
    [b"RIFF", &(chunk.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &chunk].concat()
}

/// A writer of numbers, the lowest bit first.
#[derive(Default)]
struct Bits {
    value: u128,
    length: u32,
}

impl Bits {
    fn put(&mut self, number: u32, bits: u32) {
        self.value |= u128::from(number) << self.length;
        self.length += bits;
    }
}

/// Returns the bytes of the process's address space.
fn addresses() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    Some(size.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[test]
fn a_good_webp_for_which_memory_is_lacking_is_not_damaged() {
    let bytes = webp();
    let mut decoder = Decoder::new(u64::from(SIDE) * u64::from(SIDE));
    let mut image = Rgb::default();
    decoder.decode(&bytes, &mut image).unwrap();
    assert_eq!((image.width, image.height), (SIDE, SIDE));

    // The image's own memory is allocated already; libwebp needs 64 MiB more.
    let before = getrlimit(Resource::As);
    let current = Some(addresses().unwrap() + (8 << 20));
    setrlimit(Resource::As, Rlimit { current, ..before }).unwrap();
    let short = decoder.decode(&bytes, &mut image);
    setrlimit(Resource::As, before).unwrap();
    assert!(matches!(short, Err(Error::Memory)), "{short:?}");
    decoder.decode(&bytes, &mut image).unwrap();
}
