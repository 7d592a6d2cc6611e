"""What `tests/it/exchange/resnets.rs` asks of Python: `resnets.py COMMAND ARGUMENTS`. Ends with 0 if all is right."""

import argparse
import copy
import json
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from exchange import amdim_encoder, header, off, onnx, tensors

NAMES = json.loads((Path(__file__).resolve().parents[1] / "fixtures/methods/resnet_names.json").read_text())
SIDES = {"imagenet": 64, "cifar": 32}


class Torchvision(amdim_encoder.ResNet):
    """A ResNet as torchvision has it, with its classifier: the network that loads exports and makes foreign checkpoints."""

    def __init__(self, name, width, stem, classes=1000):
        encoder = {"name": name, "width": width, "stem": stem}
        super().__init__({"side": SIDES[stem], "mean": [0.0] * 3, "std": [1.0] * 3, "encoder": encoder})
        self.fc = torch.nn.Linear(self.num_features, classes)


def drawn(name, width, stem):
    """Returns a network whose weights and statistics are all drawn."""
    torch.manual_seed(width)
    return random(Torchvision(name, width, stem, 10))


def random(network):
    """Draws the statistics and offsets of a network."""
    for key, tensor in network.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif key.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)
    return network.eval()


def write(path, named):
    """Writes tensors as safetensors without metadata."""
    kinds = {kind: name for name, kind in amdim_encoder.TYPES.items()} | {torch.float16: "F16"}
    entries, data = {}, b""
    for name, tensor in named.items():
        bytes_ = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        entries[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(entries).encode()
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


def names():
    """The definition here has the names and shapes of torchvision's networks, in their order."""
    for name in ("resnet18", "resnet34", "resnet50"):
        own = [[key, list(tensor.shape)] for key, tensor in Torchvision(name, 64, "imagenet").state_dict().items()]
        assert own == [[key, shape] for key, shape, _ in NAMES[name]], name


def exported(folder, name, width, stem):
    """An export fits torchvision's network without `fc`, and PyTorch and ONNX compute what this program does."""
    network = Torchvision(name, int(width), stem)
    theirs, own = torch.load(f"{folder}/model.pth"), tensors(f"{folder}/model.safetensors")
    assert set(theirs) == set(own) and all(torch.equal(theirs[key], own[key]) for key in own)
    for state in (theirs, own):
        missing, unexpected = network.load_state_dict(state, strict=False)
        assert missing == ["fc.weight", "fc.bias"] and unexpected == [], (missing, unexpected)
    expected = tensors(f"{folder}/expected.safetensors")
    for encoder in (network.eval(), amdim_encoder.load(f"{folder}/model.safetensors").eval()):
        with torch.no_grad():
            assert off(encoder(expected["images"]), expected["r1"]) < 1e-5
    onnx(f"{folder}/model.safetensors", f"{folder}/expected.safetensors", f"{folder}/model.onnx")
    described = json.loads(header(f"{folder}/model.safetensors")["__metadata__"]["amdim_stream"])
    config = Path(folder) / "config.json"
    assert config.exists() == (int(width) == 64 and stem == "imagenet")
    if config.exists():
        config = json.loads(config.read_text())
        assert (config["architecture"], config["num_classes"], config["num_features"]) == (name, 0, network.num_features)
        images = config["pretrained_cfg"]
        assert images["input_size"] == [3, described["side"], described["side"]]
        assert all(abs(255 * share - number) < 1e-9 for key in ("mean", "std") for share, number in zip(images[key], described[key]))


def heads(state, first, second, prefix):
    """Returns the state with a head of one or two layers in place of the classifier."""
    encoder = OrderedDict((prefix + key, value) for key, value in state.items() if not key.startswith("fc."))
    width = state["fc.weight"].shape[1]
    for name in filter(None, (first, second)):
        encoder |= {f"{prefix}{name}.weight": torch.randn(width, width), f"{prefix}{name}.bias": torch.randn(width)}
    return encoder


def bank(classes, width):
    """Returns the memory bank of instance discrimination, a module with an object that is not one."""
    package, module, alias = (types.ModuleType(name) for name in ("lib", "lib.NCEAverage", "lib.alias_multinomial"))
    source = "class AliasMethod(object):\n    def __init__(self, n):\n        self.prob, self.N = torch.ones(n), n\n"
    exec(compile(source, "alias_multinomial.py", "exec"), vars(alias) | {"torch": torch}, vars(alias))
    class NCEAverage(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.multinomial = alias.AliasMethod(classes)
            self.register_buffer("params", torch.tensor([4096, 0.07, -1, 0.5]))
            self.register_buffer("memory", torch.rand(classes, width))
    NCEAverage.__module__, NCEAverage.__qualname__ = "lib.NCEAverage", "NCEAverage"
    alias.AliasMethod.__module__, module.NCEAverage = "lib.alias_multinomial", NCEAverage
    sys.modules |= {"lib": package, "lib.NCEAverage": module, "lib.alias_multinomial": alias}
    package.NCEAverage, package.alias_multinomial = module, alias
    return NCEAverage()


def copies(network, rate):
    """Returns the state of SGD on the network after a step, with its momentum."""
    network = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), rate, 0.9)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def lightly(key):
    """Returns the name of a tensor in an `nn.Sequential` of torchvision's modules."""
    module, rest = key.split(".", 1)
    return f"{['conv1', 'bn1', '', '', 'layer1', 'layer2', 'layer3', 'layer4'].index(module)}.{rest}"


def foreign(folder, name, width, stem):
    """Writes checkpoints as other programs do, and prints their names. All hold the network in `truth.safetensors`."""
    network = drawn(name, int(width), stem)
    state = network.state_dict()
    images = torch.randn(3, 3, SIDES[stem], SIDES[stem])
    with torch.no_grad():
        write(f"{folder}/expected.safetensors", {"images": images, "r1": network(images)})
    encoder = {key: value for key, value in state.items() if not key.startswith("fc.")}
    write(f"{folder}/truth.safetensors", encoder)
    written = []

    def save(file, value, **options):
        torch.save(value, f"{folder}/{file}", **options)
        written.append(file)

    within = lambda prefix, state: OrderedDict((prefix + key, value) for key, value in state.items())
    for protocol in range(6):
        for zipped in (True, False):
            save(f"torchvision-{protocol}-{zipped}.pth", state, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    save("parameters.pth", OrderedDict(network.named_parameters()) | dict(network.named_buffers()))
    for number, prefix in enumerate(["module.", "_orig_mod.", "module._orig_mod.", "encoder.", "backbone.", "model.module."]):
        save(f"wrapped-{number}.pth", within(prefix, state))
    save("uncounted.pth", {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")})
    for version, layers in (("v1", ("fc", None)), ("v2", ("fc.0", "fc.2"))):
        slow = {key: value + 1 for key, value in state.items()}
        moco = heads(state, *layers, "module.encoder_q.") | heads(slow, *layers, "module.encoder_k.")
        moco |= {"module.queue": torch.randn(128, 64), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
        checkpoint = {"epoch": 200, "arch": name, "state_dict": moco, "optimizer": copies(network, 0.03)}
        save(f"moco-{version}.pth.tar", checkpoint)
        save(f"moco-{version}-old.pth.tar", checkpoint, _use_new_zipfile_serialization=False)
    trunk = within("_feature_blocks.", encoder)
    vissl = {"base_model": {"model": {"trunk": trunk, "heads": {"0.clf.0.weight": torch.randn(3, 4)}}, "meta": {}}, "phase_idx": 9}
    save("vissl.torch", {"phase": 9, "iteration": 100, "classy_state_dict": vissl, "type": "iteration"})
    sequential = OrderedDict((f"backbone.{lightly(key)}", value) for key, value in encoder.items())
    projector = {"projection_head.layers.0.weight": torch.randn(4, 4)}
    slow = {key.replace("backbone.", "backbone_momentum."): value + 1 for key, value in sequential.items() if value.is_floating_point()}
    save("lightly.ckpt", {"state_dict": sequential | projector, "epoch": 1, "hyper_parameters": {"lr": 0.1}})
    save("lightly-moco.ckpt", {"state_dict": sequential | slow | projector})
    npid = {"epoch": 200, "arch": name, "state_dict": within("module.", state), "best_prec1": torch.tensor(46.8), "optimizer": copies(network, 0.03)}
    for protocol in (2, 4):
        for zipped in (True, False):
            save(f"npid-{protocol}-{zipped}.pth.tar", npid | {"lemniscate": bank(20, 8)}, pickle_protocol=protocol,
                 _use_new_zipfile_serialization=zipped)
    shortcuts = OrderedDict((key.replace(".downsample.", ".shortcut.").replace("fc.", "linear."), value) for key, value in state.items())
    save("npid-cifar.pth", {"net": within("module.", shortcuts), "opt": argparse.Namespace(lr=0.03)})
    write(f"{folder}/timm.safetensors", state)
    written.append("timm.safetensors")
    print("\n".join(written))


def lab(pixels):
    """Converts pixels (n, 3, h, w) to Lab (sRGB, D65, 2°) as scikit-image does."""
    srgb = pixels.double().movedim(1, -1).numpy() / 255
    linear = np.where(srgb > 0.04045, np.power((srgb + 0.055) / 1.055, 2.4), srgb / 12.92)
    xyz = linear @ np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]).T
    xyz /= np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    channels = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)
    return (channels - [50, 6.025, -6.6895]) / [50, 92.208, 101.1675]


def ycbcr(pixels):
    """Converts pixels (n, 3, h, w) to YCbCr of ITU-R BT.601 as scikit-image does."""
    rgb = pixels.double().movedim(1, -1).numpy() / 255
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    return (rgb @ matrix.T + [16, 128, 128] - [116.151, 121.080, 132.342]) / [109.5, 111.855, 111.964]


class Cmc(torch.nn.Module):
    """CMC's two networks with their heads, as its code makes them and its checkpoints name them."""

    def __init__(self, name, width, stem_width):
        super().__init__()
        encoder = {"name": name, "width": width, "stem": "imagenet", "stem_width": stem_width}
        self.encoder = torch.nn.Module()
        self.encoder.module = torch.nn.Module()  # of DataParallel
        for channels, half in enumerate(("l_to_ab", "ab_to_l"), 1):
            network = amdim_encoder.ResNet({"side": 64, "mean": [0.0] * 3, "std": [1.0] * 3, "encoder": encoder}, channels)
            network.fc = torch.nn.Linear(network.num_features, 128)
            self.encoder.module.add_module(half, network)

    def forward(self, colors):
        """Returns the features of normalized channels (n, h, w, 3) without the heads, those of the lightness first."""
        colors = torch.from_numpy(colors).float().movedim(-1, 1)
        return torch.cat([self.encoder.module.l_to_ab(colors[:, :1]), self.encoder.module.ab_to_l(colors[:, 1:])], 1)


def cmc(folder, name, width, stem_width):
    """Writes checkpoints as CMC does, and prints their names. All hold the network in `truth.safetensors`."""
    torch.manual_seed(7)
    network = random(Cmc(name, int(width), int(stem_width)))
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    pixels[0, :, :4] = torch.arange(12, dtype=torch.uint8).view(3, 4, 1)  # dark: the linear parts of the curves
    with torch.no_grad():
        write(f"{folder}/expected.safetensors", {"images": pixels / 255, "lab": network(lab(pixels)), "ycbcr": network(ycbcr(pixels))})
    write(f"{folder}/truth.safetensors", {key.replace("encoder.module.", ""): value for key, value in network.state_dict().items() if ".fc." not in key})
    contrast = {"params": torch.tensor([16384, 0.07, -1, -1, 0.5]), "memory_l": torch.rand(20, 128), "memory_ab": torch.rand(20, 128)}
    checkpoint = {"model": network.state_dict(), "contrast": contrast, "optimizer": copies(network, 0.03), "epoch": 240}
    for number, (view, options) in enumerate([("Lab", {}), ("YCbCr", {}), ("YCbCr", {"pickle_protocol": 0}), ("YCbCr", {"pickle_protocol": 4}),
                                              ("Lab", {"_use_new_zipfile_serialization": False})]):
        opt = argparse.Namespace(batch_size=256, view=view, model=f"{name}v1", nce_k=16384, softmax=True)
        torch.save({"opt": opt} | checkpoint, f"{folder}/cmc-{number}-{view.lower()}.pth", **options)
        print(f"cmc-{number}-{view.lower()}.pth")


def split(folder, name, width, stem_width):
    """An export of two networks fits those of CMC without their heads, and PyTorch computes what this program does."""
    expected, own = tensors(f"{folder}/expected.safetensors"), tensors(f"{folder}/model.safetensors")
    theirs = torch.load(f"{folder}/model.pth")
    assert set(theirs) == set(own) and all(torch.equal(theirs[key], own[key]) for key in own)
    network = Cmc(name, int(width), int(stem_width)).eval()
    missing, unexpected = network.encoder.module.load_state_dict(theirs, strict=False)
    assert set(missing) == {f"{half}.fc.{part}" for half in ("l_to_ab", "ab_to_l") for part in ("weight", "bias")} and not unexpected
    encoder = amdim_encoder.load(f"{folder}/model.safetensors").eval()
    colors = {"lab": lab, "ycbcr": ycbcr}[encoder.split]
    pixels = (expected["images"] * 255).round().to(torch.uint8)
    with torch.no_grad():
        assert off(network(colors(pixels)), expected["r1"]) < 1e-5
        assert off(encoder(encoder.normalize(pixels)), expected["r1"]) < 1e-5
        maps = encoder.maps(expected["images"])
        assert off(list(maps.values())[-1].mean(dim=(2, 3)), expected["r1"]) < 1e-5


def converted(folder):
    """ONNX computes what this program does."""
    onnx(f"{folder}/model.safetensors", f"{folder}/expected.safetensors", f"{folder}/model.onnx")


def refused(folder):
    """Writes networks that cannot be imported."""
    cmc = Cmc("resnet18", 8, 8).state_dict()
    half = lambda name: {key: value for key, value in cmc.items() if name in key}
    deeper = {key: value for key, value in Cmc("resnet34", 8, 8).state_dict().items() if "ab_to_l" in key}
    torch.save({"model": half("l_to_ab"), "epoch": 240}, f"{folder}/half.pth")
    torch.save({"model": half("l_to_ab") | deeper}, f"{folder}/unequal.pth")
    torch.save({key.replace("l_to_ab", "first").replace("ab_to_l", "second"): value for key, value in cmc.items()}, f"{folder}/two.pth")
    torch.save({key.removeprefix("encoder.module.l_to_ab."): value for key, value in half("l_to_ab").items()}, f"{folder}/gray.pth")
    state = drawn("resnet34", 8, "imagenet").state_dict()
    deep = {key.replace("layer3.5.", "layer3.6."): value for key, value in state.items() if key.startswith("layer3.5.")}
    torch.save(state | deep, f"{folder}/deep.pth")
    torch.save({key: value for key, value in state.items() if key != "layer2.1.bn1.bias"}, f"{folder}/torn.pth")


if __name__ == "__main__":
    {"names": names, "exported": exported, "foreign": foreign, "cmc": cmc, "split": split, "converted": converted, "refused": refused}[sys.argv[1]](*sys.argv[2:])
