//! All cases of all methods.

use tch::Device;

use super::{cmc, colors, cpc, exemplar, moco, npid, resnet, simclr};
use crate::golden::case::Precision;

/// Compares every case on the device.
pub(crate) fn agree(device: Device, precision: Precision) {
    cmc::agree(device, precision);
    colors::agree(device);
    npid::agree(device, precision);
    resnet::agree(device, precision);
    simclr::agree(device, precision);
    moco::agree(device, precision);
    cpc::agree(device, precision);
    exemplar::agree(device, precision);
}
