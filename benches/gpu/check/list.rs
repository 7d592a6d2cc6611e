//! The list of all checks.

use super::{
    graph::{failed_recording, graph, graphs_of_methods},
    item::Check,
    optimizers::optimizers,
    overlap::overlap,
    precision::{bf16, fixtures_in_f32, fixtures_in_f64, losses},
    resume::resume,
};

/// All checks, in the order in which they run.
pub(crate) const ALL: [Check; 10] = [
    Check { name: "fixtures in f32", run: fixtures_in_f32 },
    Check { name: "fixtures in f64", run: fixtures_in_f64 },
    Check { name: "losses of large scores", run: losses },
    Check { name: "bf16 beside f32", run: bf16 },
    Check { name: "fused adam, adamw, sgd and lars beside their definitions", run: optimizers },
    Check { name: "overlap: batches seen whole", run: overlap },
    Check { name: "graph beside kernel by kernel", run: graph },
    Check { name: "graphs of the other methods beside kernel by kernel", run: graphs_of_methods },
    Check { name: "graph that cannot be recorded", run: failed_recording },
    Check { name: "resumed beside uninterrupted", run: resume },
];
