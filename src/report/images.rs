//! Images in the page: small JPEGs as `data:` addresses, within a budget of bytes.

use pipeline::Rgb;

use super::text::escape;

/// The longest side of an image in pixels.
const SIDE: u32 = 128;
const QUALITY: u8 = 85;
/// The bytes that all images of a page may take together.
const BUDGET: usize = 3_800_000;

/// The images of a page, which may be too many.
#[derive(Debug)]
pub(super) struct Images {
    left: usize,
    /// Images that found no place.
    pub(super) left_out: u64,
}

impl Images {
    /// Returns an empty page.
    pub(super) fn new() -> Self {
        Self { left: BUDGET, left_out: 0 }
    }

    /// Returns an element with the image, or an empty place for it once the page is full.
    pub(super) fn element(&mut self, image: &Rgb, alt: &str) -> String {
        let small = shrunk(image);
        let encoded = small.as_ref().unwrap_or(image);
        let data = pipeline::encode_jpeg(encoded, QUALITY).ok().map(|jpeg| base64(&jpeg));
        match data {
            Some(data) if data.len() <= self.left => {
                self.left -= data.len();
                let (width, height) = (encoded.width, encoded.height);
                let alt = escape(alt);
                format!(
                    "<img src=\"data:image/jpeg;base64,{data}\" alt=\"{alt}\" width=\"{width}\" height=\"{height}\">"
                )
            }
            _ => {
                self.left_out += 1;
                "<span class=\"none\"></span>".to_owned()
            }
        }
    }
}

/// Returns the image in a smaller size; none if it is small enough.
fn shrunk(image: &Rgb) -> Option<Rgb> {
    let longest = image.width.max(image.height);
    if longest <= SIDE || image.width == 0 || image.height == 0 {
        return None;
    }
    let side = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as u32;
    Some(pipeline::resize(image, side(image.width), side(image.height)))
}

/// Encodes bytes in base64 (RFC 4648), with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0u32, |bits, (place, byte)| bits | u32::from(*byte) << (16 - 8 * place));
        for digit in 0..4 {
            let is_there = digit <= chunk.len();
            text.push(if is_there {
                char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_encoded_as_the_standard_says() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn a_full_page_takes_no_more_images() {
        let image = Rgb::black(300, 150);
        let mut images = Images::new();
        assert!(
            images.element(&image, "\"a\"").contains("alt=\"&quot;a&quot;\" width=\"128\" height=\"64\"")
        );
        images.left = 10;
        assert!(!images.element(&image, "b").contains("<img"));
        assert_eq!(images.left_out, 1);
    }
}
