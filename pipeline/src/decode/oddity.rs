//! What is odd about an image that is good all the same.

use std::fmt;

/// Something odd about an image whose pixels are those that Pillow gives, and of which nothing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// A JPEG has bytes between its parts that belong to none.
    ExtraneousBytes,
    /// Adobe's segment of a JPEG names a colour transform that there is not.
    AdobeTransform,
    /// A JPEG is of a version of JFIF that there is not.
    JfifVersion,
    /// A scan of a sequential JPEG has the parameters of a progressive one.
    ScanParameters,
    /// The scans of a progressive JPEG come in an unusual order, or twice.
    ScanOrder,
    /// A restart marker of a JPEG has a wrong number.
    RestartNumber,
    /// A JPEG or PNG has all of its data, but no end.
    NoEnd,
}

impl Oddity {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ExtraneousBytes,
        Self::AdobeTransform,
        Self::JfifVersion,
        Self::ScanParameters,
        Self::ScanOrder,
        Self::RestartNumber,
        Self::NoEnd,
    ];

    /// A short name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExtraneousBytes => "extraneous_bytes",
            Self::AdobeTransform => "adobe_transform",
            Self::JfifVersion => "jfif_version",
            Self::ScanParameters => "scan_parameters",
            Self::ScanOrder => "scan_order",
            Self::RestartNumber => "restart_number",
            Self::NoEnd => "no_end",
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ExtraneousBytes => "extraneous bytes before a marker",
            Self::AdobeTransform => "an unknown colour transform in Adobe's segment",
            Self::JfifVersion => "an unknown version of JFIF",
            Self::ScanParameters => "parameters of a progressive scan in a sequential image",
            Self::ScanOrder => "scans in an unusual order",
            Self::RestartNumber => "a restart marker with a wrong number",
            Self::NoEnd => "all of its data, but no end",
        })
    }
}

/// What is odd about one image; mostly nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities(u32);

impl Oddities {
    /// By bits, in the order of [`Oddity::ALL`].
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether there is nothing odd.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them once.
    pub fn iter(self) -> impl Iterator<Item = Oddity> {
        Oddity::ALL.into_iter().filter(move |oddity| self.0 >> *oddity as u32 & 1 == 1)
    }
}

impl From<Oddity> for Oddities {
    fn from(oddity: Oddity) -> Self {
        Self(1 << oddity as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_an_oddity_of_its_own() {
        for (number, oddity) in Oddity::ALL.into_iter().enumerate() {
            assert_eq!(Oddities::from_bits(1 << number).iter().collect::<Vec<_>>(), [oddity]);
        }
        assert_eq!(Oddities::from_bits(0x7F).iter().count(), 7);
        assert!(Oddities::default().is_empty());
    }
}
