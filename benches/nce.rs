//! The contrastive loss, forward and backward, at the sizes of AMDIM's tasks.

mod common;

use amdim_stream::loss;
use tch::{Device, Kind, Tensor};

fn main() {
    let mut table = common::Table::new("NCE, one thread, CPU time");
    tch::set_num_threads(1);
    for (task, locations) in [("1t5", 25), ("1t7", 49)] {
        for (n, d) in [(64, 256), (200, 1024)] {
            let options = (Kind::Float, Device::Cpu);
            let contexts = Tensor::randn([n, d], options).set_requires_grad(true);
            let targets = Tensor::randn([n, d, locations], options).set_requires_grad(true);
            let forward = common::measure(9, || loss::nce(&contexts, &targets, 20.0).loss);
            let both = common::measure(9, || loss::nce(&contexts, &targets, 20.0).loss.backward());
            table.row(&format!("{task}, n {n}, d {d}, forward"), forward.thread_s * 1e3, "ms");
            table.row(&format!("{task}, n {n}, d {d}, forward and backward"), both.thread_s * 1e3, "ms");
        }
    }
}
