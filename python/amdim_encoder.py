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


class Described(nn.Module):
    """An encoder that knows how the pixels of its images are normalized."""

    def __init__(self, description):
        super().__init__()
        self.description, self.side = description, description["side"]

    def normalize(self, pixels):
        """Normalizes pixels (n, 3, side, side) from 0 to 255 as in the training of the encoder."""
        mean, std = (torch.tensor(self.description[name], device=pixels.device).view(1, 3, 1, 1) for name in ("mean", "std"))
        return (pixels.float() - mean) / std


class Encoder(Described):
    """The encoder of AMDIM."""

    def __init__(self, description):
        super().__init__(description)
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


def convolutions(n_in, planes, stride, bottleneck):
    """Returns channels before and after, kernel and stride of the convolutions of a block: 3×3 twice, or 1×1, 3×3 and 1×1."""
    if bottleneck:
        return [(n_in, planes, 1, 1), (planes, planes, 3, stride), (planes, 4 * planes, 1, 1)]
    return [(n_in, planes, 3, stride), (planes, planes, 3, 1)]


class Residual(nn.Module):
    """Two 3×3 convolutions, or 1×1, 3×3 and 1×1 (a bottleneck), each with a norm, added to the shortcut."""

    def __init__(self, n_in, planes, stride, bottleneck):
        super().__init__()
        convs = convolutions(n_in, planes, stride, bottleneck)
        self.count, n_out = len(convs), convs[-1][1]
        for number, (before, after, kernel, step) in enumerate(convs, 1):
            self.add_module(f"conv{number}", nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        else:
            self.downsample = None

    def forward(self, x):
        branch = x
        for number in range(1, self.count + 1):
            branch = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(branch))
            branch = F.relu(branch) if number < self.count else branch
        return F.relu(branch + (x if self.downsample is None else self.downsample(x)))


class ResNet(Described):
    """A ResNet with the names of torchvision, without `fc`, for images of some channels."""

    BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}

    def __init__(self, description, channels=3):
        super().__init__(description)
        name, width, stem = (description["encoder"][key] for key in ("name", "width", "stem"))
        n_in = description["encoder"].get("stem_width") or width
        bottleneck = name == "resnet50"
        self.pools = stem == "imagenet" or stem == "auto" and self.side > 32
        kernel, stride = (7, 2) if self.pools else (3, 1)
        self.conv1, self.bn1 = nn.Conv2d(channels, n_in, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_in)
        for stage, blocks in enumerate(self.BLOCKS[name]):
            planes, layer = width << stage, nn.Sequential()
            for block in range(blocks):
                layer.append(Residual(n_in, planes, 2 if block == 0 and stage > 0 else 1, bottleneck))
                n_in = 4 * planes if bottleneck else planes
            self.add_module(f"layer{stage + 1}", layer)
        self.num_features = n_in

    def maps(self, images):
        """Returns the last feature map (n, channels, s, s) of each side s, from the largest to the smallest."""
        x, maps = F.relu(self.bn1(self.conv1(images))), {}
        x = F.max_pool2d(x, 3, 2, 1) if self.pools else x
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps[int(x.shape[2])] = x
        return maps

    def forward(self, images):
        """Returns features (n, width) of normalized images, the mean of the last map over its locations."""
        return list(self.maps(images).values())[-1].mean(dim=(2, 3))


class SplitResNet(Described):
    """Two ResNets, one for the lightness and one for the color of an image."""

    MOMENTS = {"lab": ((50.0, 6.025, -6.6895), (50.0, 92.208, 101.1675)), "ycbcr": ((116.151, 121.08, 132.342), (109.5, 111.855, 111.964))}

    def __init__(self, description):
        super().__init__(description)
        self.split = description["encoder"]["split"]
        self.l_to_ab, self.ab_to_l = ResNet(description, 1), ResNet(description, 2)
        self.num_features = 2 * self.l_to_ab.num_features

    def channels(self, images):
        """Returns lightness (n, 1, h, w) and color (n, 2, h, w) of images (n, 3, h, w) of red, green and blue from 0 to 1."""
        weighted = lambda channels, weights: sum(channel * weight for channel, weight in zip(channels, weights))
        if self.split == "lab":
            linear = torch.where(images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92).unbind(1)
            rows = ((0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047), (0.212671, 0.715160, 0.072169),
                    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883))
            x, y, z = (torch.where(t > 0.008856, t ** (1 / 3), 7.787 * t + 16 / 116) for t in (weighted(linear, row) for row in rows))
            channels = 116 * y - 16, 500 * (x - y), 200 * (y - z)
        else:
            rows = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
            channels = (weighted(images.unbind(1), row) + offset for row, offset in zip(rows, (16, 128, 128)))
        lightness, *color = ((channel - mean) / std for channel, mean, std in zip(channels, *self.MOMENTS[self.split]))
        return lightness.unsqueeze(1), torch.stack(color, 1)

    def maps(self, images):
        """Returns the last feature map (n, channels, s, s) of each side s, from the largest to the smallest, lightness first."""
        lightness, color = self.channels(images)
        lightness, color = self.l_to_ab.maps(lightness), self.ab_to_l.maps(color)
        return {side: torch.cat((lightness[side], color[side]), 1) for side in lightness}

    def forward(self, images):
        """Returns features (n, width) of images of red, green and blue from 0 to 1, those of the lightness first."""
        lightness, color = self.channels(images)
        return torch.cat((self.l_to_ab(lightness), self.ab_to_l(color)), 1)


class Preactivated(nn.Module):
    """ReLU and convolution, two or three times, added to the input. There are no norms."""

    def __init__(self, n_in, planes, stride, bottleneck):
        super().__init__()
        convs = convolutions(n_in, planes, stride, bottleneck)
        self.count, n_out = len(convs), convs[-1][1]
        for number, (before, after, kernel, step) in enumerate(convs, 1):
            self.add_module(f"conv{number}", nn.Conv2d(before, after, kernel, step, kernel // 2))
        self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride)) if stride != 1 or n_in != n_out else None

    def forward(self, x):
        branch = x
        for number in range(1, self.count + 1):
            branch = getattr(self, f"conv{number}")(F.relu(branch))
        return branch + (x if self.shortcut is None else self.shortcut(F.relu(x)))


class Cpc(Described):
    """The encoder of CPC, a residual network that encodes each patch of an image separately."""

    def __init__(self, description):
        super().__init__(description)
        width, bottleneck, stages = (description["encoder"][key] for key in ("width", "bottleneck", "stages"))
        self.patch, n_in = description["encoder"].get("patch") or self.side // 4, width
        self.model = nn.Sequential()
        self.model.add_module("Conv1", nn.Conv2d(3, width, 5, padding=2))
        for stage, blocks in enumerate(stages):
            planes, layer = width << stage, nn.Sequential()
            for block in range(blocks):
                layer.append(Preactivated(n_in, planes, 2 if block == 0 and stage > 0 else 1, bottleneck))
                n_in = 4 * planes if bottleneck else planes
            self.model.add_module(f"layer {stage}", layer)
        self.num_features = n_in

    def maps(self, images):
        """Returns the embeddings (n, channels, r, r) of all patches by the number r of their rows, which is also that of columns."""
        patches = images.unfold(2, self.patch, self.patch // 2).unfold(3, self.patch, self.patch // 2)
        rows = int(patches.shape[2])
        z = self.model(patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)).mean(dim=(2, 3))
        return {rows: z.unflatten(0, (-1, rows, rows)).permute(0, 3, 1, 2)}

    def forward(self, images):
        """Returns features (n, width) of normalized images, the mean of the embeddings of all patches."""
        (z,) = self.maps(images).values()
        return z.mean(dim=(2, 3))


class Exemplar(Described):
    """The network of Exemplar-CNN: 5×5 convolutions, two of them with a pooling, and a linear layer."""

    def __init__(self, description):
        super().__init__(description)
        *widths, self.num_features = description["encoder"]["widths"]
        n_in, last = 3, self.side >> min(len(widths), 2)
        for number, width in enumerate(widths, 1):
            self.add_module(f"conv{number}", nn.Conv2d(n_in, width, 5, padding=2))
            n_in = width
        self.fc = nn.Linear(n_in * last * last, self.num_features)

    def maps(self, images):
        """Returns the last feature map (n, channels, s, s) of each side s, from the largest to the smallest."""
        maps, (*convs, _) = {}, self.children()
        for number, conv in enumerate(convs):
            images = F.relu(conv(images))
            images = F.max_pool2d(images, 2) if number < 2 else images
            maps[int(images.shape[2])] = images
        return maps

    def forward(self, images):
        """Returns features (n, width) of normalized images, the output of the linear layer and its ReLU."""
        return F.relu(self.fc(list(self.maps(images).values())[-1].flatten(1)))


def build(description):
    """Returns a freshly initialized encoder as the metadata of an export describe it."""
    encoder = description["encoder"]
    name, split = encoder.get("name", "amdim"), encoder.get("split", "none")
    if name.startswith("resnet"):
        return (ResNet if split == "none" else SplitResNet)(description)
    return {"amdim": Encoder, "cpc": Cpc, "exemplar": Exemplar}[name](description)


def load(path):
    """Loads the encoder of an export, with or without probes, `encoder.` and `module.` in its names."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    encoder, state = build(json.loads(header.pop("__metadata__")["amdim_stream"])), {}
    prefix = "encoder." if any(name.startswith("encoder.") for name in header) else ""
    for name, entry in header.items():
        own = name.removeprefix(prefix).removeprefix("module.")
        if name.startswith(prefix) and own in encoder.state_dict():
            begin, end = (start + offset for offset in entry["data_offsets"])
            state[own] = torch.frombuffer(data[begin:end], dtype=TYPES[entry["dtype"]]).view(entry["shape"])
    encoder.load_state_dict(state)
    return encoder
