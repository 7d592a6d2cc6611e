"""`macs.py DESCRIPTIONS`: counts the multiply-accumulates of encoders for one image by hooks in PyTorch, and prints them as JSON."""

import json
import sys

import torch
from exchange import amdim_encoder
from torch import nn


def counted(description):
    """Returns the multiply-accumulates of all convolutions and linear layers for one image."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    with torch.device("meta"):
        network = amdim_encoder.build(description).eval()
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.register_forward_hook(count)
        # Of AMDIM's encoder, the heads of its embeddings belong to it.
        getattr(network, "embeddings", network)(torch.zeros(1, 3, description["side"], description["side"]))
    return total


if __name__ == "__main__":
    print(json.dumps([counted(description) for description in json.loads(sys.argv[1])]))
