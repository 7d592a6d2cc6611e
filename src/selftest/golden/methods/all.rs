//! All cases of all methods.

use anyhow::Result;
use tch::Device;

use super::{cmc, colors, cpc, exemplar, moco, npid, resnet, simclr};
use crate::selftest::golden::{cases::Cases, precision::Precision};

/// A function that compares every case of a method on a device and returns their number.
///
/// # Errors
///
/// If a case cannot be read, or a number is beyond its tolerance.
pub type Agree = fn(&Cases, Device, Precision) -> Result<usize>;

/// The comparisons of the methods other than AMDIM and of their encoders, by what they are of.
pub const ALL: [(&str, Agree); 8] = [
    ("cmc", cmc::agree),
    ("colors", colors::agree),
    ("instdisc", npid::agree),
    ("resnet", resnet::agree),
    ("simclr", simclr::agree),
    ("moco", moco::agree),
    ("cpc", cpc::agree),
    ("exemplar", exemplar::agree),
];
