//! Pictures, samples and fixtures for the tests.
#![allow(dead_code, unused_imports, reason = "not every test binary uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between binaries")]

mod fixtures;
mod recipes;
mod samples;

pub(crate) use self::{
    fixtures::{check_image, fixtures, image, integer, number, pillow_edits, text},
    recipes::every_operation,
    samples::{damaged, picture, sample},
};
