//! JPEG files with valid headers, and coefficients and tables that no encoder would choose, or any
//! entropy-coded data.

use pipeline::jpeg::Sampling;

use crate::{
    differential::judge,
    forge::{Forge, flat_tables, standard_tables, steep_tables},
};

/// Makes a file of `bytes` and checks it.
pub fn structured(bytes: &[u8]) {
    let mut input = Input(bytes);
    let region = std::array::from_fn(|_| input.byte());
    let flags = input.byte();
    let forge = forge(&mut input);
    let is_drawn = flags & 1 == 0;
    let scan = if is_drawn { drawn(&forge, &mut input) } else { raw(&mut input) };
    let mut file = forge.file(&scan);
    if flags & 2 != 0 {
        // Enough data after the image for libjpeg-turbo's fast path.
        file.resize(file.len() + 4096, 0);
    }
    let is_damaged = flags & 0x1C == 0x1C;
    if is_damaged {
        let at = (usize::from(input.byte()) << 8 | usize::from(input.byte())) % file.len();
        file[at] ^= input.byte();
    }
    let is_accepted = judge(&file, region);
    assert!(is_accepted || is_damaged || !is_drawn, "a valid file is refused");
}

/// Makes a file with restart markers.
pub fn with_restarts(sampling: Sampling) -> Vec<u8> {
    let mut forge = Forge::new(20, 40, sampling);
    forge.restart_interval = 2;
    let mut value = 0;
    forge.file(&forge.scan(|block| {
        value += 7;
        (block[0], block[value % 60 + 1], block[value % 17 + 1]) = (value as i16 % 90, -1, value as i16 % 31);
    }))
}

fn forge(input: &mut Input) -> Forge {
    let kinds =
        [Sampling::Gray, Sampling::Full, Sampling::HalfWidth, Sampling::HalfHeight, Sampling::Quarter];
    let shape = input.byte();
    let (width, height) = (1 + input.byte() % 24, 1 + input.byte() % 24);
    let mut forge = Forge::new(width.into(), height.into(), kinds[usize::from(shape) % 5]);
    [forge.dc, forge.ac] = match input.byte() {
        turn @ 200.. => steep_tables(turn.into()),
        100..200 => flat_tables(),
        _ => standard_tables(),
    };
    forge.restart_interval = u16::from(input.byte() % 5);
    for table in &mut forge.quantization {
        *table = match input.byte() {
            0 => std::array::from_fn(|_| input.byte()),
            factor => [factor; 64],
        };
    }
    forge
}

/// Codes blocks with any coefficients that can be coded.
fn drawn(forge: &Forge, input: &mut Input) -> Vec<u8> {
    forge.scan(|block| {
        let control = input.byte();
        block[0] = input.value(2_047);
        if control & 0xC0 == 0xC0 {
            block[1..].fill_with(|| input.value(1_023));
            return;
        }
        let mut k = 0;
        for _ in 0..control & 31 {
            k += 1 + usize::from(input.byte() % 20);
            let Some(place) = block.get_mut(k) else { return };
            *place = input.value(1_023);
        }
    })
}

/// Uses the rest of the input as coded data, with byte stuffing; some bytes stand for a marker.
fn raw(input: &mut Input) -> Vec<u8> {
    let mut bytes = input.0.iter();
    let mut scan = Vec::new();
    let mut restarts = 0;
    while let Some(&byte) = bytes.next() {
        scan.push(byte);
        if byte == 0xFF {
            match bytes.next() {
                Some(0..8) => {
                    scan.push(0xD0 + restarts);
                    restarts = (restarts + 1) % 8;
                }
                Some(8) => scan.extend([0xFF, 0]),
                Some(9) => scan.push(0xDC),
                _ => scan.push(0),
            }
        }
    }
    scan
}

/// A reader of bytes; zeros after the end.
#[derive(Debug)]
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// Takes the next byte.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Takes two bytes as a number from -`limit` to `limit`.
    fn value(&mut self, limit: i16) -> i16 {
        let value = i16::from_be_bytes([self.byte(), self.byte()]);
        value % (limit + 1)
    }
}
