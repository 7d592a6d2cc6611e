//! The list of all checks.

use super::{
    check::{Check, Options},
    cure::Cure,
    fused::fused_pieces,
    graph::{failed_recording, graph, graphs_of_methods},
    optimizers::optimizers,
    overlap::overlap,
    precision::{bf16, tf32},
    pressure::pressure,
    references::{golden_in_f32, golden_in_f64, losses},
    resume::resume,
};

/// Returns the checks in the order in which they run: what others rely on comes first, and what takes the
/// memory of the device last.
pub fn checks(options: &Options) -> Vec<Check> {
    let mut checks = vec![
        Check::new("golden tensors in f32", Cure::Device, golden_in_f32),
        Check::new("golden tensors in f64", Cure::Device, golden_in_f64),
        Check::new("losses of large scores", Cure::Device, losses),
        Check::new("tf32 beside f32", Cure::Tf32, tf32),
        Check::new("bf16 beside f32", Cure::Bf16, bf16),
        Check::new("updates beside the definitions of the optimizers", Cure::Optimizer, optimizers),
    ];
    checks.extend(fused_pieces());
    checks.extend([
        Check::new("batches seen whole while copies and compute overlap", Cure::Copies, overlap),
        Check::new("graph beside kernel by kernel", Cure::Graph, graph),
        Check::new("graph that cannot be recorded", Cure::Graph, failed_recording),
    ]);
    if options.is_full {
        checks.extend([
            Check::new("graphs of the other methods beside kernel by kernel", Cure::Graph, graphs_of_methods),
            Check::new("resumed beside uninterrupted", Cure::Resume, resume),
        ]);
    }
    checks.push(Check::new("allocator under pressure", Cure::Memory, pressure));
    checks
}
