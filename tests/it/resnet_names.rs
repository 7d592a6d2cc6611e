//! The names, shapes and initial weights of ResNets, as torchvision has them.

use amdim_stream::{
    encoder::{
        Encoder,
        resnet::{Config, Depth, ResNet},
    },
    selftest::golden::Case,
};

use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::fixtures::fixtures;

/// Compares the names and shapes of all tensors, the number of parameters and the spread of the initial
/// weights with those of torchvision.
#[test]
fn fixture_names_and_initial_weights_of_resnets_agree_with_torchvision() {
    tch::manual_seed(12);
    for case in fixtures("resnet_names") {
        for (name, depth) in [("resnet18", Depth::D18), ("resnet34", Depth::D34), ("resnet50", Depth::D50)] {
            let vars = VarStore::new(Device::Cpu);
            let _network = ResNet::new(&vars.root(), depth, [3, 224], &Config::default());
            let named = vars.variables();
            let golden = case.facts[name].as_array().unwrap();
            let golden: Vec<_> = golden.iter().filter(|entry| !is_classifier(&entry[0])).collect();
            assert_eq!(named.len(), golden.len(), "{name}");
            for entry in golden {
                let tensor = &named[entry[0].as_str().unwrap()];
                let kind = if tensor.kind() == Kind::Int64 { "int64" } else { "float32" };
                assert_eq!(serde_json::json!([entry[0], tensor.size(), kind]), *entry, "{name}");
            }
            let trained = vars.trainable_variables().iter().map(Tensor::numel).sum::<usize>();
            assert_eq!(trained as u64, case.facts[format!("{name}_parameters_without_fc")].as_u64().unwrap());
            if depth == Depth::D50 {
                check_spread(&case, &vars);
            }
        }
    }
}

fn is_classifier(name: &serde_json::Value) -> bool {
    name.as_str().unwrap().starts_with("fc.")
}

/// Compares means and standard deviations with those that were measured, within six standard errors of both.
fn check_spread(case: &Case, vars: &VarStore) {
    for (name, golden) in case.facts["init"]["measured_resnet50"].as_object().unwrap() {
        if name.starts_with("fc.") {
            continue;
        }
        let values = vars.variables()[name].to_kind(Kind::Double);
        let count = values.numel() as f64;
        let spread = golden["std"].as_f64().unwrap();
        let off = (values.std(true).double_value(&[]) / spread - 1.0).abs();
        assert!(off < 6.0 * (1.0 / count).sqrt(), "{name}: spread off by {off:.1e}");
        let mean = values.mean(Kind::Double).double_value(&[]);
        assert!(mean.abs() < 6.0 * spread / count.sqrt(), "{name}: mean {mean:e}");
    }
}

/// The numbers are those that a counter of multiply-accumulates in PyTorch gives for torchvision's networks,
/// less the classifier's.
#[test]
fn multiply_accumulates_of_resnets_are_those_of_torchvision() {
    let counted = [
        (Depth::D18, 1_814_073_344 - 512_000),
        (Depth::D34, 3_663_761_408 - 512_000),
        (Depth::D50, 4_089_184_256 - 2_048_000),
    ];
    for (depth, macs) in counted {
        let vars = VarStore::new(Device::Cpu);
        let network = ResNet::new(&vars.root(), depth, [3, 224], &Config::default());
        assert_eq!(network.macs(), macs, "{depth:?}");
    }
}
