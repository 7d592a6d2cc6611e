//! Decodes whole JPEGs with libjpeg-turbo.
//!
//! It uses libjpeg's own interface (`libjpeg.c`), as Pillow does: the `TurboJPEG` interface reports only the
//! first warning, and most warnings are not damage.

use std::{
    ffi::{CStr, c_char, c_int, c_uchar, c_uint},
    ptr::NonNull,
};

// Linked for the symbols of libjpeg.
use turbojpeg_sys as _;

use crate::{Error, Result, Rgb};

use super::{
    limit::Limit,
    oddity::{Oddities, Oddity},
};

/// The most scans: more than any useful progressive JPEG has; each costs the time of a whole image.
const MAX_SCANS: c_int = 500;

/// The reasons of `libjpeg.c` other than damage.
const UNSUPPORTED: c_int = 2;
const OUT_OF_MEMORY: c_int = 3;

/// The number of trailing zeros that is more than libjpeg reads ahead.
const FILLED_UP: usize = 24;

/// Decodes JPEGs, reusing its memory.
#[derive(Debug, Default)]
pub(super) struct Libjpeg {
    /// Scratch for pixels that are not RGB yet.
    scratch: Vec<u8>,
}

impl Libjpeg {
    /// Decodes a JPEG, and returns its oddities.
    pub(super) fn decode(&mut self, bytes: &[u8], limit: Limit, image: &mut Rgb) -> Result<Oddities> {
        if bytes.get(2) != Some(&0xFF) {
            return Err(Error::Jpeg("no marker follows its first one".into()));
        }
        let mut file = File::new(bytes)?;
        let (width, height, components) = file.header()?;
        limit.check(width, height)?;
        image.reshape(width, height);
        if components == 3 {
            return file.all(&mut image.pixels);
        }
        self.scratch.resize(image.pixels.len() / 3 * components, 0);
        let oddities = file.all(&mut self.scratch)?;
        if components == 1 {
            gray_to_rgb(&self.scratch, &mut image.pixels);
        } else {
            inverted_cmyk_to_rgb(&self.scratch, &mut image.pixels);
        }
        Ok(oddities)
    }
}

/// A decoder of one file. It is not reused: libjpeg-turbo keeps the tables of the previous file, and would
/// decode a file without tables with them.
struct File<'a> {
    jpeg: NonNull<Jpeg>,
    /// The bytes of all pixels, known after reading the header.
    size: usize,
    bytes: &'a [u8],
}

impl File<'_> {
    /// Writes the pixels, one byte for each component, all of which must be in the file. Returns the
    /// oddities.
    fn all(&mut self, pixels: &mut [u8]) -> Result<Oddities> {
        self.pixels(pixels)?;
        let oddities = self.oddities();
        if oddities.iter().any(|oddity| oddity == Oddity::NoEnd) {
            check_end(&self.bytes[..self.length()], pixels)?;
        }
        Ok(oddities)
    }
}

/// Refuses a file without an end that was cut short and then filled up with zeros, from which some of its
/// pixels come.
///
/// `read` are the bytes that were read for the pixels; the last few may not be needed. Without the zeros at
/// its end the file still has the same pixels, unless data are missing. Arithmetic coding takes zeros for
/// missing data, so there only the large number of zeros tells.
fn check_end(read: &[u8], pixels: &mut [u8]) -> Result<()> {
    let mut data = read;
    while let [rest @ .., 0] = data
        && rest.last() != Some(&0xFF)
    {
        data = rest;
    }
    let filled_up = || Error::Jpeg("it is cut short, and filled up with zeros".into());
    match read.len() - data.len() {
        0 => return Ok(()),
        FILLED_UP.. => return Err(filled_up()),
        _ => (),
    }
    let ended = [data, &[0xFF, 0xD9]].concat();
    let mut file = File::new(&ended)?;
    file.header()?;
    file.pixels(pixels).map_err(|error| if matches!(error, Error::Jpeg(_)) { filled_up() } else { error })
}

/// `struct amdim_jpeg` of `libjpeg.c`.
#[repr(C)]
struct Jpeg([u8; 0]);

#[expect(unsafe_code, reason = "declarations of the functions of `libjpeg.c`")]
// SAFETY: the signatures are those of `libjpeg.c`.
unsafe extern "C" {
    fn amdim_jpeg_new(bytes: *const c_uchar, length: usize, max_scans: c_int) -> *mut Jpeg;
    fn amdim_jpeg_free(jpeg: *mut Jpeg);
    fn amdim_jpeg_message(jpeg: *const Jpeg) -> *const c_char;
    fn amdim_jpeg_oddities(jpeg: *const Jpeg) -> c_uint;
    fn amdim_jpeg_length(jpeg: *const Jpeg) -> usize;
    fn amdim_jpeg_header(jpeg: *mut Jpeg, facts: *mut c_uint) -> c_int;
    fn amdim_jpeg_pixels(jpeg: *mut Jpeg, pixels: *mut c_uchar) -> c_int;
}

#[expect(unsafe_code, reason = "libjpeg has no safe bindings that report its warnings")]
impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        // SAFETY: C keeps the pointer, and only reads from it, while `bytes` is borrowed.
        let jpeg = unsafe { amdim_jpeg_new(bytes.as_ptr(), bytes.len(), MAX_SCANS) };
        let jpeg = NonNull::new(jpeg).ok_or(Error::Memory)?;
        Ok(Self { jpeg, size: 0, bytes })
    }

    /// Reads width, height and number of components.
    fn header(&mut self) -> Result<(u32, u32, usize)> {
        let mut facts = [0; 3];
        // SAFETY: it is called once, as the first function, and writes three numbers.
        let reason = unsafe { amdim_jpeg_header(self.jpeg.as_ptr(), facts.as_mut_ptr()) };
        self.check(reason)?;
        let [width, height, components] = facts;
        self.size = width as usize * height as usize * components as usize;
        Ok((width, height, components as usize))
    }

    /// Writes the pixels, one byte for each component.
    fn pixels(&mut self, pixels: &mut [u8]) -> Result<()> {
        assert_eq!(pixels.len(), self.size, "there is room for each component of each pixel");
        // SAFETY: the header was read, as the size is known, and that many bytes may be written. C writes no
        // more: it checks that libjpeg's width, height and components are those of the header, from which the
        // size comes.
        let reason = unsafe { amdim_jpeg_pixels(self.jpeg.as_ptr(), pixels.as_mut_ptr()) };
        self.check(reason)
    }

    fn oddities(&self) -> Oddities {
        // SAFETY: the function only reads.
        Oddities::from_bits(unsafe { amdim_jpeg_oddities(self.jpeg.as_ptr()) })
    }

    /// Returns the number of bytes that were read for the pixels; up to eight of them may not be needed.
    fn length(&self) -> usize {
        // SAFETY: the function only reads.
        unsafe { amdim_jpeg_length(self.jpeg.as_ptr()) }
    }

    fn check(&self, reason: c_int) -> Result<()> {
        if reason == 0 {
            return Ok(());
        }
        // SAFETY: the message is NUL-terminated and lives as long as the decoder.
        let message = unsafe { CStr::from_ptr(amdim_jpeg_message(self.jpeg.as_ptr())) };
        let message = message.to_string_lossy().into_owned();
        Err(match reason {
            UNSUPPORTED => Error::Unsupported(message),
            OUT_OF_MEMORY => Error::Memory,
            _ => Error::Jpeg(message),
        })
    }
}

#[expect(unsafe_code, reason = "the decoder was allocated in C")]
impl Drop for File<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing else frees the decoder.
        unsafe { amdim_jpeg_free(self.jpeg.as_ptr()) }
    }
}

fn gray_to_rgb(gray: &[u8], rgb: &mut [u8]) {
    for (value, pixel) in gray.iter().zip(rgb.as_chunks_mut::<3>().0) {
        *pixel = [*value; 3];
    }
}

/// Converts CMYK to RGB as Pillow does, from inverted values: each ink lets `c·k / 255` through, rounded as
/// in Pillow.
fn inverted_cmyk_to_rgb(cmyk: &[u8], rgb: &mut [u8]) {
    for (inks, pixel) in cmyk.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<3>().0) {
        let light = u32::from(inks[3]);
        *pixel = [0, 1, 2].map(|i| {
            let product = u32::from(255 - inks[i]) * light + 128;
            (light - (((product >> 8) + product) >> 8)) as u8
        });
    }
}
