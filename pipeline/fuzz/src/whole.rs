//! Bytes as an image.

use std::cell::RefCell;

use pipeline::{Decoder, Rgb};

/// The most pixels of an image: larger ones would only take time.
pub(super) const MAX_PIXELS: u32 = 1 << 14;

/// Decodes `bytes` with a used decoder and with a new one, and checks that header and pixels agree on the
/// size.
pub fn decode(bytes: &[u8]) {
    thread_local! {
        static USED: RefCell<(Decoder, Rgb)> = RefCell::new((decoder(), Rgb::default()));
    }
    USED.with_borrow_mut(|(used, image)| {
        let header = used.header(bytes);
        let result = used.decode(bytes, image);
        let fresh = pipeline::decode(bytes, MAX_PIXELS.into());
        assert_eq!(result.is_ok(), fresh.is_ok(), "{result:?} and {fresh:?}");
        if let Ok(fresh) = fresh {
            assert!(fresh == *image, "an earlier image changes the pixels");
            let header = header.expect("a decoded image has a header");
            let mut sides = [header.width, header.height];
            let mut found = [image.width, image.height];
            sides.sort_unstable(); // the image may have been turned
            found.sort_unstable();
            assert_eq!(sides, found);
        }
    });
}

fn decoder() -> Decoder {
    Decoder::new(MAX_PIXELS.into())
}
