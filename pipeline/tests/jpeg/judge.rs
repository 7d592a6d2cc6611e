//! Checks of the decoder for any bytes.

use std::{cell::RefCell, ops::Range};

use pipeline::{
    Cpu,
    jpeg::{Decoder, Header, Region, Sampling, YccPlanes},
};
use turbojpeg::Subsamp;
use turbojpeg_sys as sys;

/// Passes one decoder for each instruction set to `run`; the first one is the portable one.
fn with_decoders<T>(run: impl FnOnce(&mut [(Cpu, Decoder)]) -> T) -> T {
    thread_local! {
        static DECODERS: RefCell<Vec<(Cpu, Decoder)>> =
            RefCell::new(Cpu::available().into_iter().map(|cpu| (cpu, Decoder::new(cpu))).collect());
    }
    DECODERS.with_borrow_mut(|decoders| run(decoders))
}

/// Checks `bytes`, and returns whether the whole image is accepted.
///
/// # Panics
/// If instruction sets differ, if an accepted file has other samples than libjpeg-turbo's, or if `region`,
/// which chooses a region for the image's size, is refused or has other samples.
pub(crate) fn judge(bytes: &[u8], max_pixels: u32, region: impl FnOnce(u32, u32) -> Region) -> bool {
    let Ok(header) = Header::parse(bytes) else { return false };
    if header.width * header.height > max_pixels {
        return false;
    }
    let region = region(header.width, header.height);
    with_decoders(|decoders| {
        let ((_, portable), others) =
            decoders.split_first_mut().expect("the portable decoder is always there");
        let whole = portable.decode(&header, header.whole()).map(samples);
        let part = portable.decode(&header, region).map(|planes| cover(planes, &header, region));
        for (cpu, other) in others {
            let of_other = other.decode(&header, header.whole()).map(samples);
            assert!(of_other == whole, "{cpu:?} differs on the whole image");
            let of_other = other.decode(&header, region).map(|planes| cover(planes, &header, region));
            assert!(of_other == part, "{cpu:?} differs in {region:?}");
        }
        let Ok(whole) = whole else { return false };
        let part = part.expect("a region of an accepted image is accepted");
        check_region(&part, &whole, &header, region);
        assert!(whole == reference(bytes, &header), "the samples differ from those of libjpeg-turbo");
        let verdict = pipeline::decode(bytes, max_pixels.into()).map(|_| ());
        assert!(verdict.is_ok(), "damage is accepted: {verdict:?}");
        true
    })
}

/// A component: its numbers of columns and rows, and its samples, column by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) columns: Range<usize>,
    pub(crate) rows: Range<usize>,
    pub(crate) samples: Vec<u8>,
}

/// Returns all samples that belong to pixels.
pub(crate) fn samples(planes: &YccPlanes) -> Vec<Component> {
    let sizes = (0..3).map(|number| planes.size(number)).take_while(|size| size.0 > 0);
    let whole = |(number, (width, height))| component(planes, number, 0..width, 0..height);
    sizes.enumerate().map(whole).collect()
}

fn component(planes: &YccPlanes, number: usize, columns: Range<usize>, rows: Range<usize>) -> Component {
    let mut samples = Vec::with_capacity(columns.len() * rows.len());
    columns.clone().for_each(|x| samples.extend_from_slice(planes.column(number, x, rows.clone())));
    Component { columns, rows, samples }
}

/// Returns the samples that the pixels of a region are made of: of halved chroma, with a neighbour on either
/// side.
pub(crate) fn cover(planes: &YccPlanes, header: &Header, region: Region) -> Vec<Component> {
    let factors = header.sampling.factors();
    (0..header.sampling.components())
        .map(|number| {
            let (width, height) = planes.size(number);
            let axis = |from: u32, length: u32, factor: usize, size: usize| {
                let factor = if number == 0 { 1 } else { factor };
                let (from, to) = (from as usize / factor, ((from + length) as usize).div_ceil(factor));
                from.saturating_sub(factor - 1)..(to + factor - 1).min(size)
            };
            let columns = axis(region.left, region.width, factors.0, width);
            component(planes, number, columns, axis(region.top, region.height, factors.1, height))
        })
        .collect()
}

/// Checks that a region's samples are those of the whole image.
pub(crate) fn check_region(part: &[Component], whole: &[Component], header: &Header, region: Region) {
    for (number, (part, whole)) in part.iter().zip(whole).enumerate() {
        let height = whole.rows.len();
        let mut columns = part.columns.clone().zip(part.samples.chunks_exact(part.rows.len()));
        assert!(
            columns.all(|(x, column)| *column == whole.samples[x * height..][part.rows.clone()]),
            "component {number} of {region:?} of {}×{} {:?}",
            header.width,
            header.height,
            header.sampling
        );
    }
}

/// Decodes the components with libjpeg-turbo, ignoring its warnings.
#[expect(unsafe_code, reason = "the safe bindings treat a warning as an error")]
pub(crate) fn reference(bytes: &[u8], header: &Header) -> Vec<Component> {
    let (subsamp, number) = subsamp(header.sampling);
    let (width, height) = (header.width as usize, header.height as usize);
    let length = turbojpeg::yuv_pixels_len(width, 1, height, subsamp).expect("the size is valid");
    let mut pixels = vec![0; length];
    // SAFETY: the handle lives until it is destroyed, `bytes` are only read, and `pixels` has room for all
    // planes of an image with the size and sampling of the file.
    unsafe {
        let handle = sys::tj3Init(sys::TJINIT_TJINIT_DECOMPRESS as i32);
        let check = |failed: i32| {
            let is_warning = sys::tj3GetErrorCode(handle) == sys::TJERR_TJERR_WARNING as i32;
            assert!(failed == 0 || is_warning, "libjpeg-turbo accepts what is accepted here");
        };
        check(sys::tj3DecompressHeader(handle, bytes.as_ptr(), bytes.len() as _));
        let get = |parameter: u32| sys::tj3Get(handle, parameter as i32);
        let size = [sys::TJPARAM_TJPARAM_JPEGWIDTH, sys::TJPARAM_TJPARAM_JPEGHEIGHT].map(get);
        assert_eq!(size, [width as i32, height as i32]);
        assert_eq!(get(sys::TJPARAM_TJPARAM_SUBSAMP), number);
        check(sys::tj3DecompressToYUV8(handle, bytes.as_ptr(), bytes.len() as _, pixels.as_mut_ptr(), 1));
        sys::tj3Destroy(handle);
    }
    components(&pixels, (width, height), subsamp)
}

/// Returns `TurboJPEG`'s name of a sampling.
fn subsamp(sampling: Sampling) -> (Subsamp, i32) {
    match sampling {
        Sampling::Gray => (Subsamp::Gray, sys::TJSAMP_TJSAMP_GRAY),
        Sampling::Full => (Subsamp::None, sys::TJSAMP_TJSAMP_444),
        Sampling::HalfWidth => (Subsamp::Sub2x1, sys::TJSAMP_TJSAMP_422),
        Sampling::HalfHeight => (Subsamp::Sub1x2, sys::TJSAMP_TJSAMP_440),
        Sampling::Quarter => (Subsamp::Sub2x2, sys::TJSAMP_TJSAMP_420),
    }
}

fn components(mut pixels: &[u8], (width, height): (usize, usize), subsamp: Subsamp) -> Vec<Component> {
    let (across, down) = (subsamp.width(), subsamp.height());
    let count = if subsamp == Subsamp::Gray { 1 } else { 3 };
    (0..count)
        .map(|number| {
            // Luma has the columns and rows that the last chroma sample stands for.
            let factors = if number == 0 { (1, 1) } else { (across, down) };
            let stride = width.next_multiple_of(across) / factors.0;
            let (plane, rest) = pixels.split_at(stride * (height.next_multiple_of(down) / factors.1));
            pixels = rest;
            let (width, height) = (width.div_ceil(factors.0), height.div_ceil(factors.1));
            let mut samples = vec![0; width * height];
            for (x, column) in samples.chunks_exact_mut(height).enumerate() {
                (0..height).for_each(|y| column[y] = plane[y * stride + x]);
            }
            Component { columns: 0..width, rows: 0..height, samples }
        })
        .collect()
}
