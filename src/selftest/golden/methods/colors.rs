//! Color spaces of CMC.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::{
    encoder::resnet::Split,
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
};

/// Compares the conversions of every case on the device. The rest of the cases belongs to the crate `pipeline`.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("methods_augment", device, |case| check(case, precision))
}

fn check(mut case: Case, precision: Precision) -> Result<()> {
    let mut compared = 0;
    for op in case.list(&["ops"])?.to_vec() {
        let split = match op["op"].as_str() {
            Some("rgb_to_lab") => Split::Lab,
            Some("rgb_to_ycbcr") => Split::Ycbcr,
            _ => continue,
        };
        check_conversion(&mut case, split, &op, precision)?;
        compared += 1;
    }
    ensure!(compared > 3, "{}: {compared} conversions", case.name);
    Ok(())
}

fn check_conversion(case: &mut Case, split: Split, op: &Value, precision: Precision) -> Result<()> {
    let [input, output] = ["input", "output"].map(|key| op[key].as_str());
    let (input, output) = (input.context("no input")?, output.context("no output")?);
    let bytes = case.tensors.get(input).with_context(|| format!("{}: no `{input}`", case.name))?;
    let bytes = bytes.to_kind(Kind::Double).permute([2, 0, 1]).unsqueeze(0);
    let golden = case.take(output)?.permute([2, 0, 1]).unsqueeze(0);
    let bound = if precision == Precision::Double { 1e-6 } else { 1e-4 };
    let found = split.channels(&(&bytes / 255.0).to_kind(precision.kind()));
    case.close(output, &Tensor::cat(&found, 1), &normalized(&golden, split), 1.0, bound)
}

/// Normalizes channels (1, 3, h, w) by the means and deviations that the reference of CMC has.
fn normalized(channels: &Tensor, split: Split) -> Tensor {
    let (mean, std) = match split {
        Split::Lab => ([50.0, 6.025, -6.6895], [50.0, 92.208, 101.1675]),
        _ => ([116.151, 121.080, 132.342], [109.500, 111.855, 111.964]),
    };
    let of_channels =
        |values: [f64; 3]| Tensor::from_slice(&values).to_device(channels.device()).view([1, 3, 1, 1]);
    (channels - of_channels(mean)) / of_channels(std)
}
