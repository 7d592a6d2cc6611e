"""Loads an encoder from a file of `amdim-stream export` in plain PyTorch: for features, as a backbone, and for fine-tuning.

    encoder = load("encoder.safetensors").eval()
    features = encoder(encoder.normalize(pixels))          # pixels (n, 3, side, side), uint8 → (n, width)
    maps = encoder.maps(encoder.normalize(pixels))         # feature maps by their side: {62: …, 30: …, 14: …, 7: …, 5: …, 1: …}
"""

import json

import torch
import torch.nn.functional as F
from torch import nn

TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}


class Norm(nn.Module):
    """A batch norm that does nothing if `on` is false. Its state is stored either way."""

    def __init__(self, channels, on=True):
        super().__init__()
        self.bn, self.on = nn.BatchNorm2d(channels), on

    def forward(self, x):
        return self.bn(x) if self.on else x


class Stem(nn.Module):
    def __init__(self, n_in, n_out, kernel, stride, reflect):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, padding=reflect, padding_mode="reflect" if reflect else "zeros")

    def forward(self, x):
        return F.relu(self.conv(x))


class Res(nn.Module):
    """A w×w convolution, norm, ReLU and 1×1 convolution, added to an average pooling whose new channels are zero."""

    def __init__(self, n_in, n_out, width, stride, use_bn):
        super().__init__()
        self.geometry, self.new = (width, stride), n_out - n_in
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, width, stride, bias=False), Norm(n_out, use_bn)
        self.conv2 = nn.Conv2d(n_out, n_out, 1, bias=False)

    def forward(self, x):
        skip = F.pad(F.avg_pool2d(x, *self.geometry), [0, 0, 0, 0, 0, self.new])
        return skip + self.conv2(F.relu(self.bn1(self.conv1(x))))


class Block(nn.Module):
    def __init__(self, n_in, n_out, width, stride, depth, use_bn):
        super().__init__()
        rest = [Res(n_out, n_out, 1, 1, use_bn) for _ in range(depth - 1)]
        self.layer_list = nn.Sequential(Res(n_in, n_out, width, stride, use_bn), *rest)

    def forward(self, x):
        return self.layer_list(x)


class Head(nn.Module):
    """Embeds the locations of a feature map."""

    def __init__(self, n_in, n_rkhs, use_bn):
        super().__init__()
        self.conv1, self.bn_hid = nn.Conv2d(n_in, n_rkhs, 1, bias=False), Norm(n_rkhs, use_bn)
        self.conv2, self.shortcut = nn.Conv2d(n_rkhs, n_rkhs, 1, bias=False), nn.Conv2d(n_in, n_rkhs, 1)
        self.bn_out = Norm(n_rkhs)

    def forward(self, x):
        return self.bn_out(self.conv2(F.relu(self.bn_hid(self.conv1(x)))) + self.shortcut(x))


class Encoder(nn.Module):
    def __init__(self, description):
        super().__init__()
        self.description, self.side = description, description["side"]
        ndf, n_rkhs, depth, use_bn = (description["encoder"][name] for name in ("ndf", "n_rkhs", "n_depth", "use_bn"))
        block = lambda n_in, n_out, width, stride: Block(n_in, n_out, width, stride, depth, use_bn)
        if self.side == 32:
            trunk = [Stem(3, ndf, 3, 1, 0), Res(ndf, ndf, 1, 1, use_bn), block(ndf, 2 * ndf, 4, 2), block(2 * ndf, 4 * ndf, 2, 2)]
        else:
            stem = [Stem(3, ndf, 3, 1, 0)] if self.side == 64 else [Stem(3, ndf, 5, 2, 2), Stem(ndf, ndf, 3, 1, 0)]
            trunk = [*stem, block(ndf, 2 * ndf, 4, 2), block(2 * ndf, 4 * ndf, 4, 2), block(4 * ndf, 8 * ndf, 2, 2)]
        wide = ndf * (4 if self.side == 32 else 8)
        tail = [Norm(wide, use_bn), block(wide, wide, 3, 1), block(wide, wide, 3, 1), Res(wide, n_rkhs, 3, 1, use_bn), Norm(n_rkhs)]
        self.layer_list = nn.ModuleList([*trunk, *tail])
        self.rkhs_block_5, self.rkhs_block_7 = Head(wide, n_rkhs, use_bn), Head(wide, n_rkhs, use_bn)

    def normalize(self, pixels):
        """Normalizes pixels (n, 3, side, side) from 0 to 255 as in the training of the encoder."""
        mean, std = (torch.tensor(self.description[name], device=pixels.device).view(1, 3, 1, 1) for name in ("mean", "std"))
        return (pixels.float() - mean) / std

    def maps(self, images):
        """Returns the last feature map (n, channels, s, s) of each side s, from the largest to the smallest."""
        maps = {}
        for layer in self.layer_list:
            images = layer(images)
            maps[int(images.shape[2])] = images
        return maps

    def forward(self, images):
        """Returns features (n, width) of normalized images, the paper's r1."""
        return self.maps(images)[1].flatten(1)

    def embeddings(self, images):
        """Returns r1 (n, width, 1, 1), r5 (n, width, 5, 5) and r7 (n, width, 7, 7)."""
        maps = self.maps(images)
        return maps[1], self.rkhs_block_5(maps[5]), self.rkhs_block_7(maps[7])


def load(path):
    """Loads the encoder of an export, with or without probes and `module.` in its names."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    encoder, state = Encoder(json.loads(header.pop("__metadata__")["amdim_stream"])), {}
    for name, entry in header.items():
        if name.startswith("encoder."):
            begin, end = (start + offset for offset in entry["data_offsets"])
            tensor = torch.frombuffer(data[begin:end], dtype=TYPES[entry["dtype"]]).view(entry["shape"])
            state[name.removeprefix("encoder.").removeprefix("module.")] = tensor
    encoder.load_state_dict(state)
    return encoder
