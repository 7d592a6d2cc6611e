//! All cases of all methods.

use anyhow::Result;
use tch::Device;

use super::{cmc, colors, cpc, exemplar, moco, npid, resnet, simclr};
use crate::selftest::golden::{cases::Cases, precision::Precision};

/// Compares every case of the methods other than AMDIM and of their encoders on the device. Returns the
/// number of cases by what they are of.
///
/// # Errors
///
/// If a case cannot be read, or a number is beyond its tolerance.
pub fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<Vec<(&'static str, usize)>> {
    Ok(vec![
        ("cmc", cmc::agree(cases, device, precision)?),
        ("colors", colors::agree(cases, device)?),
        ("instdisc", npid::agree(cases, device, precision)?),
        ("resnet", resnet::agree(cases, device, precision)?),
        ("simclr", simclr::agree(cases, device, precision)?),
        ("moco", moco::agree(cases, device, precision)?),
        ("cpc", cpc::agree(cases, device, precision)?),
        ("exemplar", exemplar::agree(cases, device, precision)?),
    ])
}
