//! Instruction sets that hot loops are compiled for.

use std::fmt;

/// An instruction set that hot loops are compiled for. All of them compute the same bytes.
///
/// The default is the best one that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpu {
    /// Instructions that every CPU of the architecture has.
    Portable,
    /// AVX2, BMI1 and BMI2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX2, BMI1 and BMI2, and AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

impl Cpu {
    /// Returns the instruction sets that this CPU has, the best one last.
    pub fn available() -> Vec<Self> {
        let mut kinds = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            kinds.extend(Avx2::detect().map(Self::Avx2));
            kinds.extend(Avx512::detect().map(Self::Avx512));
        }
        kinds
    }
}

/// Defines functions that are compiled for each instruction set. Their first argument, a [`Cpu`], selects the
/// version.
macro_rules! versions {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {$(
        $(#[$attribute])*
        #[expect(unsafe_code, reason = "the functions are compiled for instructions that were detected")]
        $visibility fn $name(cpu: $crate::Cpu, $($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn portable($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                portable($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                portable($($argument),*)
            }

            match cpu {
                $crate::Cpu::Portable => portable($($argument),*),
                // SAFETY: a value of `Avx2` only exists on CPUs with these features.
                #[cfg(target_arch = "x86_64")]
                $crate::Cpu::Avx2(_) => unsafe { avx2($($argument),*) },
                // SAFETY: a value of `Avx512` only exists on CPUs with these features.
                #[cfg(target_arch = "x86_64")]
                $crate::Cpu::Avx512(_) => unsafe { avx512($($argument),*) },
            }
        }
    )*};
}

pub(crate) use versions;

impl Default for Cpu {
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(avx512) = Avx512::detect() {
                return Self::Avx512(avx512);
            }
            if let Some(avx2) = Avx2::detect() {
                return Self::Avx2(avx2);
            }
        }
        Self::Portable
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    /// Proof that the CPU has AVX2, BMI1 and BMI2.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Avx2(());

    /// Proof that the CPU has the features of [`Avx2`], and AVX-512 F, BW, DQ and VL.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Avx512(Avx2);

    impl Avx2 {
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2"))
            .then_some(Self(()))
        }
    }

    impl Avx512 {
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl"))
            .then(Avx2::detect)
            .flatten()
            .map(Self)
        }

        /// Returns the proof of AVX2, which every CPU with AVX-512 has.
        pub(crate) fn avx2(self) -> Avx2 {
            self.0
        }
    }
}
