"""`macs.py DESCRIPTIONS`: counts the multiply-accumulates of encoders for one image by hooks in PyTorch, and prints them as JSON."""

import json
import sys

import torch
from exchange import amdim_encoder
from torch import nn


class Preactivated(nn.Module):
    """ReLU and convolution, two or three times, added to the input."""

    def __init__(self, n_in, planes, stride, bottleneck):
        super().__init__()
        n_out = 4 * planes if bottleneck else planes
        shapes = [(n_in, planes, 1, 1), (planes, planes, 3, stride), (planes, n_out, 1, 1)] if bottleneck else \
            [(n_in, planes, 3, stride), (planes, planes, 3, 1)]
        layers = [nn.Sequential(nn.ReLU(), nn.Conv2d(a, b, kernel, step, kernel // 2)) for a, b, kernel, step in shapes]
        self.branch = nn.Sequential(*layers)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride) if stride > 1 or n_in != n_out else None

    def forward(self, x):
        return self.branch(x) + (x if self.shortcut is None else self.shortcut(x.relu()))


class Patches(nn.Module):
    """CPC's encoder: patches that overlap by half, and a residual network without norms for each."""

    def __init__(self, side, width, bottleneck, stages):
        super().__init__()
        self.patch, n_in = side // 4, width
        layers = [nn.Conv2d(3, width, 5, 1, 2)]
        for stage, count in enumerate(stages):
            for number in range(count):
                layers.append(Preactivated(n_in, width << stage, 2 if stage > 0 and number == 0 else 1, bottleneck))
                n_in = (width << stage) * (4 if bottleneck else 1)
        self.network = nn.Sequential(*layers)

    def forward(self, images):
        patches = images.unfold(2, self.patch, self.patch // 2).unfold(3, self.patch, self.patch // 2)
        return self.network(patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))


def exemplar(side, widths):
    """Returns the network of Exemplar-CNN, such as 64c5-128c5-256c5-512f."""
    layers, n_in = [], 3
    for number, width in enumerate(widths[:-1]):
        layers += [nn.Conv2d(n_in, width, 5, padding=2), nn.ReLU()]
        if number < 2:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        n_in = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_in * side * side, widths[-1]))


def build(description):
    encoder = description["encoder"]
    match encoder.get("name"):
        case "cpc":
            return Patches(description["side"], encoder["width"], encoder["bottleneck"], encoder["stages"])
        case "exemplar":
            return exemplar(description["side"], encoder["widths"])
        case _:
            return amdim_encoder.build(description)


def counted(description):
    """Returns the multiply-accumulates of all convolutions and linear layers for one image."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    with torch.device("meta"):
        network = build(description).eval()
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.register_forward_hook(count)
        # Of AMDIM's encoder, the heads of its embeddings belong to it.
        getattr(network, "embeddings", network)(torch.zeros(1, 3, description["side"], description["side"]))
    return total


if __name__ == "__main__":
    print(json.dumps([counted(description) for description in json.loads(sys.argv[1])]))
