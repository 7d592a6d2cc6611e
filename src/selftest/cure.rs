//! What to switch off where a check fails.

use tch::Device;

/// The answer to a failed check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// No flag helps: the device computes wrong numbers.
    Device,
    /// Batches are damaged on their way to the device.
    Copies,
    /// bf16 is wrong.
    Bf16,
    /// TF32 is wrong.
    Tf32,
    /// A fused piece is wrong.
    Fused,
    /// Recorded steps are wrong.
    Graph,
    /// The update of an optimizer is wrong.
    Optimizer,
    /// A resumed run is not the uninterrupted one.
    Resume,
    /// The device does not recover from a lack of memory.
    Memory,
}

impl Cure {
    /// Returns the flags of a run on `device` that avoid what failed; none if no flag does.
    pub(super) fn flags(self, device: Device) -> Option<&'static str> {
        match self {
            Self::Device | Self::Copies => device.is_cuda().then_some("--device cpu"),
            Self::Bf16 if device.is_cuda() => Some("--precision tf32"),
            Self::Bf16 | Self::Tf32 => Some("--precision f32"),
            Self::Fused => Some("--fused off"),
            Self::Graph => Some("--cuda-graph off"),
            Self::Optimizer | Self::Resume | Self::Memory => None,
        }
    }

    /// Returns what to do, in the imperative.
    pub(super) fn hint(self, device: Device) -> String {
        let report = "report this with the line of the check";
        match (self, self.flags(device)) {
            (Self::Device, Some(flags)) => format!(
                "do not train on {}, which computes wrong numbers: train with {flags}, and {report}",
                torchkit::name(device)
            ),
            (Self::Copies, Some(flags)) => format!(
                "do not train on {}, which gets damaged batches: train with {flags}, and {report}",
                torchkit::name(device)
            ),
            (Self::Device | Self::Copies, None) => {
                format!("do not train on this machine, whose CPU computes wrong numbers, and {report}")
            }
            (Self::Optimizer, _) => {
                format!("train with another --optimizer than those that the check names, and {report}")
            }
            (Self::Resume, _) => format!("finish runs without a stop, and {report}"),
            (Self::Memory, _) => {
                format!(
                    "choose a --batch-size that leaves memory free (`amdim-stream plan --gpu` measures it), and {report}"
                )
            }
            (_, flags) => format!("train with {}", flags.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hint_has_the_flags_that_the_json_has() {
        use Cure::{Bf16, Copies, Fused, Graph, Memory, Optimizer, Resume, Tf32};
        for device in [Device::Cpu, Device::Cuda(0)] {
            for cure in [Cure::Device, Copies, Bf16, Tf32, Fused, Graph, Optimizer, Resume, Memory] {
                let hint = cure.hint(device);
                assert!(hint.contains(cure.flags(device).unwrap_or("report this")), "{hint}");
            }
        }
        assert_eq!(Bf16.flags(Device::Cuda(0)), Some("--precision tf32"));
        assert_eq!(Bf16.flags(Device::Cpu), Some("--precision f32"), "CPUs have no TF32");
    }
}
