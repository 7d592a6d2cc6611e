//! Tests of the whole program, in one binary so that libtorch is linked once.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

mod classes;
mod cli;
mod contrib;
mod crash;
mod divided;
mod docs;
mod doctor;
mod earlier;
mod eval;
mod exchange;
mod fixtures;
mod gpu_bench;
mod launcher;
mod macs;
#[path = "../../dataset/tests/it/members.rs"]
#[expect(dead_code, reason = "only the tests of the crate `dataset` use all of it")]
mod members;
mod observe;
mod optimizers;
mod own_images;
mod plan;
mod remote;
mod report;
mod resnet_names;
mod resume;
mod schedule;
mod seeds;
mod selftest;
mod structure;
mod support;
mod terminal;
mod train;
mod unattended;
mod verify;
