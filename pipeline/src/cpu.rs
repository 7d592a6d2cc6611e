//! Which instructions the hot loops use.

use std::fmt;

/// Instructions that hot loops are compiled for. All give the same bytes.
///
/// The default is the best kind that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpu {
    /// Those that every CPU has.
    Portable,
    /// AVX2, BMI1 and BMI2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// The same and AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

impl Cpu {
    /// The kinds that this CPU has, the best one last.
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

/// Defines functions that are compiled for each kind of CPU. Their first argument, a [`Cpu`], says which version runs.
macro_rules! versions {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {$(
        $(#[$attribute])*
        #[expect(unsafe_code, reason = "functions compiled for instructions that were found")]
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
                // SAFETY: a value of `Avx2` exists only where the CPU has these features.
                #[cfg(target_arch = "x86_64")]
                $crate::Cpu::Avx2(_) => unsafe { avx2($($argument),*) },
                // SAFETY: a value of `Avx512` exists only where the CPU has these features.
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
    /// A value exists only where the CPU has AVX2, BMI1 and BMI2.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Avx2(());

    /// A value exists only where the CPU has what [`Avx2`] stands for, and AVX-512 F, BW, DQ and VL.
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

        /// Who has AVX-512 has AVX2.
        pub(crate) fn avx2(self) -> Avx2 {
            self.0
        }
    }
}
