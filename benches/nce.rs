//! Contrastive losses, forward and backward, fused and in their plain form.

mod common;

use amdim_stream::{loss, world::World};
use tch::{Device, Kind, Tensor};
use torchkit::Piece;

const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

fn main() {
    tch::set_num_threads(1);
    amdim(&mut common::Table::new("Loss of AMDIM, one thread, CPU time"));
    of_units(&mut common::Table::new("Losses of unit embeddings, d 128, one thread, CPU time"));
}

/// Prints the loss at the sizes of AMDIM's tasks.
fn amdim(table: &mut common::Table) {
    for (task, locations) in [("1t5", 25), ("1t7", 49)] {
        for (n, d) in [(64, 256), (200, 1024)] {
            let contexts = Tensor::randn([n, d], OPTIONS).set_requires_grad(true);
            // Locations side by side, as in an encoder's channels-last maps.
            let targets =
                Tensor::randn([n, locations, d], OPTIONS).permute([0, 2, 1]).set_requires_grad(true);
            let name = format!("{task}, n {n}, d {d}");
            both_forms(table, &name, 9, || loss::nce(&contexts, &targets, 20.0, World::ALONE).loss);
        }
    }
}

/// Prints the losses of SimCLR, MoCo and instance discrimination.
fn of_units(table: &mut common::Table) {
    let unit = |n: i64| loss::unit(&Tensor::randn([n, 128], OPTIONS));
    let leaf = |n: i64| unit(n).set_requires_grad(true);
    let (one, two) = (leaf(512), leaf(512));
    both_forms(table, "NT-Xent, n 512", 9, || {
        let [one, two] = loss::nt_xent(&one, &two, 0.1);
        one + two
    });
    let (queries, keys, queue) = (leaf(128), unit(128), unit(65_536).transpose(0, 1).contiguous());
    both_forms(table, "queue, n 128, 65536 keys", 5, || loss::queued(&queries, &keys, &queue, 0.2).loss);
    let (features, rows, numbers) =
        (leaf(128), unit(50_000), Tensor::arange(128, (Kind::Int64, Device::Cpu)));
    both_forms(table, "full softmax, n 128, 50000 rows", 5, || {
        loss::full_softmax(&features, &rows, &numbers, 0.07)
    });
}

/// Prints the times of a loss with and without [`Piece::Scores`], which are measured in turns.
fn both_forms(table: &mut common::Table, name: &str, repetitions: usize, loss: impl Fn() -> Tensor) {
    let mut print = |what: &str, work: &dyn Fn()| {
        let [fused, plain] = common::in_turns(repetitions, |is_fused| {
            Piece::Scores.fuse(is_fused);
            work();
        });
        table.row(&format!("{name}, {what}, fused"), fused.thread_s * 1e3, "ms");
        table.row(&format!("{name}, {what}, plain"), plain.thread_s * 1e3, "ms");
    };
    print("forward", &|| drop(loss()));
    print("both ways", &|| loss().backward());
}
