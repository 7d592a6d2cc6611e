//! Color spaces of CMC.

use amdim_stream::encoder::resnet::Split;
use tch::{Device, Kind, Tensor};

use crate::golden::Fixture;

/// Compares the conversions in f64 and f32. The rest of the cases belongs to the crate `pipeline`.
pub(crate) fn agree(device: Device) {
    for mut case in Fixture::all("methods_augment", device) {
        let mut compared = 0;
        for op in case.facts["ops"].as_array().unwrap().clone() {
            let split = match op["op"].as_str().unwrap() {
                "rgb_to_lab" => Split::Lab,
                "rgb_to_ycbcr" => Split::Ycbcr,
                _ => continue,
            };
            let [input, output] = ["input", "output"].map(|key| op[key].as_str().unwrap());
            let bytes = case.tensors[input].to_kind(Kind::Double).permute([2, 0, 1]).unsqueeze(0);
            let golden = case.take(output).permute([2, 0, 1]).unsqueeze(0);
            for (kind, bound) in [(Kind::Double, 1e-6), (Kind::Float, 1e-4)] {
                let found = split.channels(&(&bytes / 255.0).to_kind(kind));
                case.close(output, &Tensor::cat(&found, 1), &normalized(&golden, split), 1.0, bound);
            }
            compared += 1;
        }
        assert!(compared > 3, "{}: {compared} conversions", case.name);
    }
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
