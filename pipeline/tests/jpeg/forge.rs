//! Handmade JPEG files with coefficients and tables that no encoder would choose.

use pipeline::jpeg::Sampling;

/// Everything in a file except its coefficients.
#[derive(Debug, Clone)]
pub(crate) struct Forge {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) sampling: Sampling,
    /// The quantization tables of luma and chroma, in zigzag order.
    pub(crate) quantization: [[u8; 64]; 2],
    /// The Huffman tables of DC and AC coefficients: counts of codes, and symbols.
    pub(crate) dc: Vec<u8>,
    pub(crate) ac: Vec<u8>,
    pub(crate) restart_interval: u16,
}

impl Forge {
    /// Makes a file with standard tables.
    pub(crate) fn new(width: u16, height: u16, sampling: Sampling) -> Self {
        let [dc, ac] = standard_tables();
        Self { width, height, sampling, quantization: [[1; 64]; 2], dc, ac, restart_interval: 0 }
    }

    /// Returns the number of blocks in an MCU, and the number of MCUs.
    pub(crate) fn size(&self) -> (usize, usize) {
        let (across, down) = self.sampling.factors();
        let columns = usize::from(self.width).div_ceil(8 * across);
        let rows = usize::from(self.height).div_ceil(8 * down);
        (across * down + self.sampling.components() - 1, columns * rows)
    }

    /// Codes the blocks that `draw` fills, in zigzag order: first a DC difference of at most 2,047 in
    /// magnitude, then AC coefficients of at most 1,023.
    pub(crate) fn scan(&self, mut draw: impl FnMut(&mut [i16; 64])) -> Vec<u8> {
        let [dc, ac] = [&self.dc, &self.ac].map(|spec| codes(spec));
        let (blocks, mcus) = self.size();
        let mut writer = Writer::default();
        for mcu in 0..mcus {
            if mcu > 0 && self.restart_interval > 0 && mcu % usize::from(self.restart_interval) == 0 {
                let number = (mcu / usize::from(self.restart_interval) - 1) as u8;
                writer.marker(0xD0 + number % 8);
            }
            for _ in 0..blocks {
                let mut block = [0; 64];
                draw(&mut block);
                writer.block(&block, &dc, &ac);
            }
        }
        writer.align();
        writer.bytes
    }

    /// Returns the file with this entropy-coded data.
    pub(crate) fn file(&self, scan: &[u8]) -> Vec<u8> {
        let components = self.sampling.components() as u8;
        let (across, down) = self.sampling.factors();
        let mut file = vec![0xFF, 0xD8];
        for (number, table) in self.quantization.iter().enumerate() {
            segment(&mut file, 0xDB, &[&[number as u8], &table[..]]);
        }
        let mut frame = vec![8];
        frame.extend(self.height.to_be_bytes());
        frame.extend(self.width.to_be_bytes());
        frame.push(components);
        frame.extend([1, (across << 4 | down) as u8, 0]);
        frame.extend((1..components).flat_map(|i| [i + 1, 0x11, 1]));
        segment(&mut file, 0xC0, &[&frame]);
        segment(&mut file, 0xC4, &[&[0x00], &self.dc]);
        segment(&mut file, 0xC4, &[&[0x10], &self.ac]);
        if self.restart_interval > 0 {
            segment(&mut file, 0xDD, &[&self.restart_interval.to_be_bytes()]);
        }
        let scanned: Vec<u8> = (0..components).flat_map(|i| [i + 1, 0]).collect();
        segment(&mut file, 0xDA, &[&[components], &scanned, &[0, 63, 0]]);
        file.extend(scan);
        file.extend([0xFF, 0xD9]);
        file
    }
}

/// Appends a segment.
pub(crate) fn segment(file: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    file.extend([0xFF, marker]);
    file.extend((length as u16 + 2).to_be_bytes());
    for part in parts {
        file.extend(*part);
    }
}

/// Returns the tables of ISO 10918-1 for luma: K.3 and K.5.
pub(crate) fn standard_tables() -> [Vec<u8>; 2] {
    let dc = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0].into_iter().chain(0..12).collect();
    let short =
        *b"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xA1\
        \x08\x23\x42\xB1\xC1\x15\x52\xD1\xF0\x24\x33\x62\x72\x82";
    let rest = all_symbols().into_iter().filter(|symbol| !short.contains(symbol));
    let counts = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D];
    [dc, counts.into_iter().chain(short).chain(rest).collect()]
}

/// Returns all symbols that AC coefficients of 8-bit images need.
fn all_symbols() -> Vec<u8> {
    let coded = (0..16).flat_map(|run| (1..=10).map(move |size| run << 4 | size));
    [0x00, 0xF0].into_iter().chain(coded).collect()
}

/// Returns tables whose codes all have the same length.
pub(crate) fn flat_tables() -> [Vec<u8>; 2] {
    let dc = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into_iter().chain(0..12).collect();
    let counts = [0, 0, 0, 0, 0, 0, 0, 162, 0, 0, 0, 0, 0, 0, 0, 0];
    [dc, counts.into_iter().chain(all_symbols()).collect()]
}

/// Returns tables with codes of all lengths, mostly the longest; `turn` rotates the symbols among them.
pub(crate) fn steep_tables(turn: usize) -> [Vec<u8>; 2] {
    let mut dc: Vec<u8> = (0..12).collect();
    dc.rotate_left(turn % 12);
    let mut ac = all_symbols();
    ac.rotate_left(turn % 162);
    let (of_dc, of_ac) = ([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]);
    let of_ac = of_ac.into_iter().chain([0, 0, 0, 0, 0, 0, 0, 154]);
    [of_dc.into_iter().chain(dc).collect(), of_ac.chain(ac).collect()]
}

/// Returns code and length of each symbol.
fn codes(spec: &[u8]) -> [(u32, u32); 256] {
    let mut codes = [(0, 0); 256];
    let (counts, mut symbols) = (&spec[..16], spec[16..].iter());
    let mut code = 0;
    for (length, count) in (1..).zip(counts) {
        for symbol in symbols.by_ref().take((*count).into()) {
            codes[usize::from(*symbol)] = (code, length);
            code += 1;
        }
        code <<= 1;
    }
    codes
}

/// A writer of bits with byte stuffing.
#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
    buffer: u64,
    count: u32,
}

impl Writer {
    fn put(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer << count | u64::from(bits);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.buffer >> self.count) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// Fills the last byte with ones.
    fn align(&mut self) {
        let missing = (8 - self.count % 8) % 8;
        self.put((1 << missing) - 1, missing);
    }

    fn marker(&mut self, marker: u8) {
        self.align();
        self.bytes.extend([0xFF, marker]);
    }

    fn block(&mut self, block: &[i16; 64], dc: &[(u32, u32); 256], ac: &[(u32, u32); 256]) {
        self.value(0, block[0], dc);
        let mut run = 0;
        for &value in &block[1..] {
            if value == 0 {
                run += 1;
                continue;
            }
            for _ in 0..run / 16 {
                self.value(15, 0, ac);
            }
            self.value(run % 16, value, ac);
            run = 0;
        }
        if run > 0 {
            self.value(0, 0, ac);
        }
    }

    /// Writes a value after a run of zeros: its code, and its bits.
    fn value(&mut self, run: usize, value: i16, codes: &[(u32, u32); 256]) {
        let size = 16 - value.unsigned_abs().leading_zeros();
        let (code, length) = codes[run << 4 | size as usize];
        assert!(length > 0, "the table has the symbol");
        self.put(code, length);
        let bits = u32::from((value - i16::from(value < 0)) as u16);
        self.put(bits & ((1 << size) - 1), size);
    }
}
