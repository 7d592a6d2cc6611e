//! Names of members: the sample that a member belongs to, and its role in it.

/// Extensions of images, in order of preference: a sample uses the first that it has. PNG is last, since a
/// PNG beside a JPEG is a mask.
const IMAGES: [&[u8]; 4] = [b"jpg", b"jpeg", b"webp", b"png"];
/// The last rank of a JPEG, and the rank of PNG.
const JPEG: u8 = 1;
const PNG: u8 = 3;

/// A member's name, split at its dots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    whole: &'a [u8],
    first_dot: usize,
    last_dot: usize,
}

/// The role of a member in its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// An image; among several the one of the lowest rank is used.
    Image(u8),
    /// A label as text.
    Class,
    /// Metadata that may contain a label.
    Json,
    /// A member that is not read.
    Other,
}

impl<'a> Name<'a> {
    /// Splits a name. Returns `None` for names without an extension and for hidden files, such as the `._`
    /// files of macOS.
    pub(crate) fn split(whole: &'a [u8]) -> Option<Self> {
        let base = whole.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let first_dot = base + whole[base..].iter().position(|&byte| byte == b'.')?;
        let last_dot = whole.iter().rposition(|&byte| byte == b'.')?;
        (first_dot > base).then_some(Self { whole, first_dot, last_dot })
    }

    /// Returns the whole name.
    pub(crate) fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// Returns the positions of the first and the last dot of the base name.
    pub(crate) fn dots(&self) -> (usize, usize) {
        (self.first_dot, self.last_dot)
    }

    /// Restores a name from the result of [`dots`](Self::dots).
    pub(crate) fn with_dots(whole: &'a [u8], (first_dot, last_dot): (usize, usize)) -> Self {
        Self { whole, first_dot, last_dot }
    }

    /// Returns the name up to the first dot of the base name, folder included. Members of one sample share
    /// it.
    pub(crate) fn short(&self) -> &'a [u8] {
        &self.whole[..self.first_dot]
    }

    /// Returns the name up to the last dot: the key.
    pub(crate) fn stem(&self) -> &'a [u8] {
        &self.whole[..self.last_dot]
    }

    /// Returns whether the base name has only one dot.
    pub(crate) fn is_plain(&self) -> bool {
        self.first_dot == self.last_dot
    }

    /// Returns whether the text between the first and the last dot is a number, a date or the like, as in
    /// `cat.12.jpg`.
    pub(crate) fn is_numbered(&self) -> bool {
        let middle = self.middle();
        middle.iter().any(u8::is_ascii_digit)
            && middle.iter().all(|byte| byte.is_ascii_digit() || b".-_ ()".contains(byte))
    }

    /// Returns whether this is the name of a companion, such as a mask, of an image with the same short name
    /// and no further dots, whose role is `image`. Companions are images of another format, and PNGs with a
    /// word between their dots. If a number is between the dots, only a PNG beside another format is one.
    pub(crate) fn is_companion_of(&self, image: Role) -> bool {
        let (Role::Image(own), Role::Image(other)) = (self.role(), image) else { return false };
        let is_of_other_format = own.max(JPEG) != other.max(JPEG);
        if self.is_numbered() {
            return own == PNG && is_of_other_format;
        }
        let is_word = || self.middle().iter().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(byte));
        !self.is_plain() && (is_of_other_format || own == PNG && is_word())
    }

    /// Returns the text between the first and the last dot.
    fn middle(&self) -> &'a [u8] {
        self.whole.get(self.first_dot + 1..self.last_dot).unwrap_or_default()
    }

    /// Returns the text after the last dot.
    pub(crate) fn extension(&self) -> &'a [u8] {
        &self.whole[self.last_dot + 1..]
    }

    /// Returns the role of this extension, in upper or lower case.
    pub(crate) fn role(&self) -> Role {
        let extension = self.extension();
        let is = |other: &[u8]| extension.eq_ignore_ascii_case(other);
        match IMAGES.iter().position(|image| is(image)) {
            Some(rank) => Role::Image(rank as u8),
            None if is(b"cls") => Role::Class,
            None if is(b"json") => Role::Json,
            None => Role::Other,
        }
    }
}

impl Role {
    /// The role of a PNG.
    pub(crate) const PNG: Self = Self::Image(PNG);

    /// Returns the role's bit in a set of roles; 0 for members that are not read.
    pub(crate) fn bit(self) -> u8 {
        match self {
            Self::Image(rank) => 1 << rank,
            Self::Class => 1 << IMAGES.len(),
            Self::Json => 1 << (IMAGES.len() + 1),
            Self::Other => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(name: &str) -> Option<(&str, &str, Role)> {
        let name = Name::split(name.as_bytes())?;
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Some((text(name.short()), text(name.stem()), name.role()))
    }

    #[test]
    fn names_are_split_at_the_first_and_the_last_dot_of_the_base_name() {
        assert_eq!(split("a.b/1.JPG"), Some(("a.b/1", "a.b/1", Role::Image(0))));
        assert_eq!(split("a/1.seg.png"), Some(("a/1", "a/1.seg", Role::Image(3))));
        assert_eq!(split("1.cls"), Some(("1", "1", Role::Class)));
        assert_eq!(split("1."), Some(("1", "1", Role::Other)));
        for name in ["", "a", "a.b/c", ".hidden.jpg", "a/._1.jpg", "a/"] {
            assert_eq!(split(name), None, "{name}");
        }
    }

    #[test]
    fn masks_of_an_image_are_distinguished_from_images_with_a_similar_name() {
        let is_companion = |name: &str, of: &str| {
            let split = |name| Name::split(name).unwrap();
            split(name.as_bytes()).is_companion_of(split(of.as_bytes()).role())
        };
        for (name, of) in [
            ("a.mask.png", "a.jpg"),
            ("a.mask.png", "a.webp"),
            ("a.mask.png", "a.png"),
            ("a.0.png", "a.jpg"),
            ("a.a8f3.png", "a.JPEG"),
            ("a.preview.jpg", "a.png"),
        ] {
            assert!(is_companion(name, of), "{name} beside {of}");
        }
        for (name, of) in [
            ("a.a8f3.jpg", "a.jpg"),
            ("a.left.jpg", "a.jpeg"),
            ("a.0.jpg", "a.jpg"),
            ("a.0.jpg", "a.png"),
            ("a.0.png", "a.png"),
            ("a.a8f3.png", "a.png"),
            ("a.mask.png", "a.cls"),
            ("a.png", "a.jpg"),
        ] {
            assert!(!is_companion(name, of), "{name} beside {of}");
        }
    }

    #[test]
    fn numbers_and_dates_are_distinguished_from_words() {
        let is_numbered = |name: &str| Name::split(name.as_bytes()).unwrap().is_numbered();
        for name in ["cat.0.jpg", "1.2.840.113.jpg", "x.2020-01-31.jpg", "photo. (1).jpg"] {
            assert!(is_numbered(name), "{name}");
        }
        for name in ["cat.jpg", "a.mask.png", "a.3d.png", "a..jpg", "a.-.jpg"] {
            assert!(!is_numbered(name), "{name}");
        }
    }
}
