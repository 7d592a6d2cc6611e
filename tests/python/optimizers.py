"""`optimizers.py CASES`: PyTorch makes the updates in the files of `tests/it/optimizers.rs` again. Prints the optimizers that are right."""

import json
import sys

import torch
from exchange import tensors


def optimizer(parameters, optim):
    adam = {"lr": 0.0, "betas": tuple(optim["betas"]), "eps": optim["eps"], "weight_decay": optim["weight_decay"]}
    sgd = {"lr": 0.0, "momentum": optim["momentum"], "nesterov": optim["nesterov"], "weight_decay": optim["weight_decay"]}
    match optim["name"]:
        case "adam":
            return torch.optim.Adam(parameters, **adam)
        case "adamw":
            return torch.optim.AdamW(parameters, **adam)
        case "sgd":
            return torch.optim.SGD(parameters, **sgd)


def check(file, optim, rates):
    kept = tensors(file)
    stage = lambda name: {key.split(".")[1]: tensor for key, tensor in kept.items() if key.startswith(name + ".")}
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in stage("before").items()}
    theirs = optimizer(list(parameters.values()), optim)
    for number, lr in enumerate(rates):
        gradients = stage(f"gradient{number}")
        assert set(gradients) == set(parameters) and len(parameters) == 3
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        theirs.param_groups[0]["lr"] = lr
        theirs.step()
    for name, after in stage("after").items():
        off = (parameters[name].detach() - after).abs().max().item()
        assert off < 1e-13 and after.dtype == torch.float64, (optim, name, off)
    return optim["name"]


print(*[check(**case) for case in json.loads(sys.argv[1])])
