#!/usr/bin/env python3
"""Writes the encoder of an export as ONNX: `to_onnx.py encoder.safetensors encoder.onnx [--pixels]`.

The input `images` is (n, 3, side, side): normalized floats, or with --pixels bytes of 0 to 255, which the graph normalizes
itself. The output `features` is (n, width). Needs torch and onnx.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import amdim_encoder  # noqa: E402


class OfPixels(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels):
        return self.encoder(self.encoder.normalize(pixels))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", help="what `amdim-stream export` wrote")
    parser.add_argument("onnx", help="file to write")
    parser.add_argument("--pixels", action="store_true", help="take bytes of 0 to 255")
    args = parser.parse_args()
    encoder = amdim_encoder.load(args.export).eval()
    side = encoder.side
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8 if args.pixels else torch.float32)
    torch.onnx.export(OfPixels(encoder) if args.pixels else encoder, images, args.onnx, dynamo=False, opset_version=17,
                      input_names=["images"], output_names=["features"],
                      dynamic_axes={"images": {0: "n"}, "features": {0: "n"}})


if __name__ == "__main__":
    main()
