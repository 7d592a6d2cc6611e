//! Oddities of images that are decoded nevertheless.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An oddity of an image that is complete, and whose pixels are those of Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// A JPEG has bytes between its segments.
    ExtraneousBytes,
    /// The Adobe segment of a JPEG names an undefined colour transform.
    AdobeTransform,
    /// A JPEG gives an undefined version of JFIF.
    JfifVersion,
    /// A scan of a sequential JPEG has the parameters of a progressive one.
    ScanParameters,
    /// The scans of a progressive JPEG come in an unusual order, or repeatedly.
    ScanOrder,
    /// A restart marker of a JPEG has a wrong number.
    RestartNumber,
    /// A JPEG or PNG has all of its data, but no end marker.
    NoEnd,
}

impl Oddity {
    /// All oddities, in order.
    pub const ALL: [Self; 7] = [
        Self::ExtraneousBytes,
        Self::AdobeTransform,
        Self::JfifVersion,
        Self::ScanParameters,
        Self::ScanOrder,
        Self::RestartNumber,
        Self::NoEnd,
    ];

    /// Returns a short name, for programs.
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

/// The oddities of one image; usually none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oddities(u32);

impl Oddities {
    /// Makes a set of bits, in the order of [`Oddity::ALL`].
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Iterates over the oddities, each once.
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
    fn each_oddity_has_its_own_bit() {
        for (number, oddity) in Oddity::ALL.into_iter().enumerate() {
            assert_eq!(Oddities::from_bits(1 << number).iter().collect::<Vec<_>>(), [oddity]);
        }
        assert_eq!(Oddities::from_bits(0x7F).iter().count(), 7);
        assert!(Oddities::default().is_empty());
    }
}
