//! The decoder: its memory, cached tables, and instruction set.

use crate::cpu::Cpu;
#[cfg(target_arch = "x86_64")]
use crate::cpu::{Avx2, Avx512};

use super::{
    bits::ScanBytes,
    cover::Cover,
    entropy,
    header::Header,
    huffman::{AcTable, DcTable},
    idct::{Portable, Quantization},
    refusal::{Refusal, Result},
    scan::Scan,
};
use crate::image::{Region, YccPlanes};

/// Decodes regions of images one after the other, reusing its memory.
#[derive(Debug, Default)]
pub struct Decoder {
    cpu: Cpu,
    scan: ScanBytes,
    planes: YccPlanes,
    /// Cached tables, which rarely differ from one image to the next.
    dc: [Cached<DcTable>; 4],
    ac: [Cached<AcTable>; 4],
    quantization: [Quantization; 4],
}

impl Decoder {
    /// Makes a decoder that uses this instruction set.
    pub fn new(cpu: Cpu) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Decodes the samples that the pixels of `region` are made of, including neighbours of chroma.
    ///
    /// Memory is only allocated for the region: the caller limits the size of images.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] or [`Refusal::Damaged`]; libjpeg-turbo may still decode the file.
    ///
    /// # Panics
    /// If the region is empty or does not lie within the image.
    pub fn decode(&mut self, header: &Header, region: Region) -> Result<&YccPlanes> {
        let Region { left, top, width, height } = region;
        let is_within = |from: u32, length: u32, size: u32| {
            length > 0 && from.checked_add(length).is_some_and(|end| end <= size)
        };
        assert!(
            is_within(left, width, header.width) && is_within(top, height, header.height),
            "the region lies within the image"
        );
        self.load_tables(header)?;
        self.scan.load(header.scan)?;
        let cover = Cover::new(header, region);
        self.planes.reshape(header, &cover);
        let components = &header.components;
        let scan = Scan {
            header,
            cover: &cover,
            bytes: &self.scan,
            quantization: std::array::from_fn(|i| &self.quantization[components[i].quantization]),
            dc: tables(&self.dc, components.map(|component| component.dc), header.sampling.components()),
            ac: tables(&self.ac, components.map(|component| component.ac), header.sampling.components()),
        };
        let planes = &mut self.planes;
        decode(self.cpu, &scan, planes)?;
        Ok(planes)
    }

    fn load_tables(&mut self, header: &Header) -> Result<()> {
        for component in &header.components[..header.sampling.components()] {
            let factors = *header.quantization.get(component.quantization).ok_or(Refusal::Damaged)?;
            let factors = factors.ok_or(Refusal::Damaged)?;
            for (k, &factor) in factors.iter().enumerate() {
                self.quantization[component.quantization].0[entropy::place(k)] = factor.into();
            }
            self.dc
                .get_mut(component.dc)
                .ok_or(Refusal::Damaged)?
                .load(header.dc[component.dc], DcTable::set)?;
            self.ac
                .get_mut(component.ac)
                .ok_or(Refusal::Damaged)?
                .load(header.ac[component.ac], AcTable::set)?;
        }
        Ok(())
    }
}

/// Returns the tables of the components; for a gray image, the first table stands for all.
fn tables<T>(cached: &[Cached<T>; 4], numbers: [usize; 3], components: usize) -> [&T; 3] {
    std::array::from_fn(|i| &*cached[numbers[if i < components { i } else { 0 }]].table)
}

/// A table, and the definition that it was made from.
#[derive(Debug)]
struct Cached<T> {
    /// Empty if the table is invalid.
    spec: Vec<u8>,
    table: Box<T>,
}

impl<T> Cached<T> {
    fn load(&mut self, spec: Option<&[u8]>, set: impl FnOnce(&mut T, &[u8]) -> Result<()>) -> Result<()> {
        let spec = spec.ok_or(Refusal::Unsupported)?;
        if self.spec != spec {
            self.spec.clear();
            set(&mut self.table, spec)?;
            self.spec.extend_from_slice(spec);
        }
        Ok(())
    }
}

impl Default for Cached<DcTable> {
    fn default() -> Self {
        Self { spec: Vec::new(), table: Box::new(DcTable::EMPTY) }
    }
}

impl Default for Cached<AcTable> {
    fn default() -> Self {
        Self { spec: Vec::new(), table: Box::new(AcTable::EMPTY) }
    }
}

#[expect(unsafe_code, reason = "the functions are compiled for instructions that were detected")]
fn decode(cpu: Cpu, scan: &Scan, planes: &mut YccPlanes) -> Result<()> {
    match cpu {
        Cpu::Portable => scan.run(Portable, planes),
        // SAFETY: a value of `Avx2` only exists on CPUs with these features.
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => unsafe { decode_avx2(scan, cpu, planes) },
        // SAFETY: a value of `Avx512` only exists on CPUs with these features.
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => unsafe { decode_avx512(scan, cpu, planes) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn decode_avx2(scan: &Scan, cpu: Avx2, planes: &mut YccPlanes) -> Result<()> {
    scan.run(cpu, planes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
fn decode_avx512(scan: &Scan, cpu: Avx512, planes: &mut YccPlanes) -> Result<()> {
    scan.run(cpu, planes)
}
