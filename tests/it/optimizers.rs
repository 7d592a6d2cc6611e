//! The optimizers beside those of PyTorch.

use amdim_stream::optim::{Config, Optimizer, OptimizerName};
use serde_json::json;
use tch::{
    Device, Kind, Tensor,
    nn::{Init, VarStore},
};

use crate::support::{Place, python};

/// Makes five updates with drawn gradients in f64. Returns the parameters before and after them, and the
/// gradients of each.
fn updates(config: &Config, rates: &[f64]) -> Vec<(String, Tensor)> {
    let mut vars = VarStore::new(Device::Cpu);
    for (name, shape) in [("a", &[3i64, 5][..]), ("b", &[7]), ("c", &[2, 3, 3, 3])] {
        let _ = vars.root().var(name, shape, Init::Randn { mean: 0.0, stdev: 1.0 });
    }
    vars.double();
    let copies = |stage: &str| {
        let copy = |(name, tensor): (String, Tensor)| (format!("{stage}.{name}"), tensor.detach().copy());
        vars.variables().into_iter().map(copy).collect::<Vec<_>>()
    };
    let mut kept = copies("before");
    let mut optimizer = Optimizer::new(&vars, config);
    for (number, lr) in rates.iter().enumerate() {
        optimizer.forget_gradients().unwrap();
        for (name, parameter) in vars.variables() {
            let gradient = parameter.detach().randn_like();
            (&parameter * &gradient).sum(Kind::Double).backward();
            kept.push((format!("gradient{number}.{name}"), gradient));
        }
        let _ = optimizer.step(*lr, &Tensor::from(1.0)).unwrap();
    }
    kept.extend(copies("after"));
    kept
}

#[test]
fn sgd_adam_and_adamw_update_as_those_of_pytorch() {
    let place = Place::new();
    let rates = [1e-1, 2e-1, 5e-2, 0.0, 1e-1];
    let config = |name| Config { name, weight_decay: 1e-2, ..Config::default() };
    let configs = [
        config(OptimizerName::Adam),
        config(OptimizerName::AdamW),
        config(OptimizerName::Sgd),
        Config { nesterov: true, ..config(OptimizerName::Sgd) },
        Config { momentum: 0.0, ..config(OptimizerName::Sgd) },
    ];
    let cases = configs.iter().enumerate().map(|(number, config)| {
        let file = place.path(&format!("{number}.safetensors"));
        Tensor::write_safetensors(&updates(config, &rates), &file).unwrap();
        json!({"file": file, "optim": config, "rates": rates})
    });
    let cases: serde_json::Value = cases.collect();
    assert_eq!(python("optimizers.py", &[&cases.to_string()]), "adam adamw sgd sgd sgd\n");
}
