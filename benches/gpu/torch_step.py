#!/usr/bin/env python3
"""The same step in PyTorch, written for speed; `run.py` compares this program with it.

Channels-last, bf16 autocast, fused Adam, cuDNN's benchmark mode, both views in one batch, no reads by the host within a step.

    torch_step.py check FIXTURES               compares the model and its loss with the golden tensors (on the CPU, in f64)
    torch_step.py time --ndf 192 …             one JSON object: milliseconds of a step, memory, FLOPs by PyTorch's own count
    torch_step.py matmul                       one JSON object: FLOP/s of a large bf16 matrix product
"""

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

LOCATIONS = 25 + 49 + 25


# The encoder, under the names of the reference implementation.

class Conv3x3(nn.Module):
    def __init__(self, n_in, n_out, kernel, stride, reflect):
        super().__init__()
        self.reflect = reflect
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride)

    def forward(self, x):
        if self.reflect:
            x = F.pad(x, [self.reflect] * 4, mode="reflect")
        return F.relu(self.conv(x), inplace=True)


class MaybeNorm(nn.Module):
    """A batch norm over each of two views separately. Its state exists even if it is off."""

    def __init__(self, channels, on):
        super().__init__()
        self.on = on
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        if not self.on:
            return x
        if not self.training:
            return self.bn(x)
        return torch.cat([self.bn(view) for view in x.chunk(2)])


class ConvResNxN(nn.Module):
    def __init__(self, n_in, n_out, width, stride, use_bn):
        super().__init__()
        self.geometry = (width, stride)
        self.widens = n_out - n_in
        self.conv1 = nn.Conv2d(n_in, n_out, width, stride, bias=False)
        self.bn1 = MaybeNorm(n_out, use_bn)
        self.conv2 = nn.Conv2d(n_out, n_out, 1, bias=False)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x):
        residual = self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))
        if self.geometry != (1, 1):
            x = F.avg_pool2d(x, *self.geometry)
        if self.widens:
            x = F.pad(x, [0, 0, 0, 0, 0, self.widens])
        return x + residual


class ConvResBlock(nn.Module):
    def __init__(self, n_in, n_out, width, stride, depth, use_bn):
        super().__init__()
        first = ConvResNxN(n_in, n_out, width, stride, use_bn)
        others = [ConvResNxN(n_out, n_out, 1, 1, use_bn) for _ in range(depth - 1)]
        self.layer_list = nn.Sequential(first, *others)

    def forward(self, x):
        return self.layer_list(x)


class RkhsHead(nn.Module):
    def __init__(self, n_in, n_rkhs, use_bn):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_rkhs, 1, bias=False)
        self.bn_hid = MaybeNorm(n_rkhs, use_bn)
        self.conv2 = nn.Conv2d(n_rkhs, n_rkhs, 1, bias=False)
        nn.init.zeros_(self.conv2.weight)
        self.shortcut = nn.Conv2d(n_in, n_rkhs, 1)
        if n_rkhs >= n_in:
            with torch.no_grad():
                self.shortcut.weight.uniform_(-0.01, 0.01)
                self.shortcut.weight[range(n_in), range(n_in)] = 1.0
        self.bn_out = MaybeNorm(n_rkhs, True)

    def forward(self, x):
        hidden = F.relu(self.bn_hid(self.conv1(x)), inplace=True)
        return self.bn_out(self.conv2(hidden) + self.shortcut(x))


class Encoder(nn.Module):
    def __init__(self, side, ndf, n_rkhs, n_depth, use_bn):
        super().__init__()
        block = lambda n_in, n_out, width, stride: ConvResBlock(n_in, n_out, width, stride, n_depth, use_bn)
        if side == 32:
            trunk = [Conv3x3(3, ndf, 3, 1, 0), ConvResNxN(ndf, ndf, 1, 1, use_bn), block(ndf, 2 * ndf, 4, 2),
                     block(2 * ndf, 4 * ndf, 2, 2)]
        else:
            stem = [Conv3x3(3, ndf, 3, 1, 0)] if side == 64 else [Conv3x3(3, ndf, 5, 2, 2), Conv3x3(ndf, ndf, 3, 1, 0)]
            trunk = [*stem, block(ndf, 2 * ndf, 4, 2), block(2 * ndf, 4 * ndf, 4, 2), block(4 * ndf, 8 * ndf, 2, 2)]
        wide = 4 * ndf if side == 32 else 8 * ndf
        tail = [MaybeNorm(wide, use_bn), block(wide, wide, 3, 1), block(wide, wide, 3, 1),
                ConvResNxN(wide, n_rkhs, 3, 1, use_bn), MaybeNorm(n_rkhs, True)]
        self.layer_list = nn.ModuleList([*trunk, *tail])
        # Indices of the last layers with sides 7 and 5.
        self.last_7, self.last_5 = len(trunk), len(trunk) + 1
        self.rkhs_block_5 = RkhsHead(wide, n_rkhs, use_bn)
        self.rkhs_block_7 = RkhsHead(wide, n_rkhs, use_bn)

    def forward(self, x):
        kept = {}
        for number, layer in enumerate(self.layer_list):
            x = layer(x)
            kept[number] = x
        return x, self.rkhs_block_5(kept[self.last_5]), self.rkhs_block_7(kept[self.last_7])


class Evaluator(nn.Module):
    def __init__(self, width, classes, dropout=0.2):
        super().__init__()
        mlp = nn.Sequential(nn.Identity(), nn.Dropout(dropout), nn.Linear(width, 1024, bias=False),
                            nn.BatchNorm1d(1024), nn.ReLU(), nn.Dropout(dropout), nn.Linear(1024, classes))
        linear = nn.Sequential(nn.Identity(), nn.Identity(), nn.Linear(width, classes))
        self.block_glb_mlp = nn.ModuleDict({"block_forward": mlp})
        self.block_glb_lin = nn.ModuleDict({"block_forward": linear})

    def forward(self, features):
        return self.block_glb_mlp["block_forward"](features), self.block_glb_lin["block_forward"](features)


class Model(nn.Module):
    def __init__(self, side, ndf, n_rkhs, n_depth, use_bn=False, classes=1000, dropout=0.2, tclip=20.0):
        super().__init__()
        self.tclip = tclip
        self.encoder = Encoder(side, ndf, n_rkhs, n_depth, use_bn)
        self.evaluator = Evaluator(n_rkhs, classes, dropout)

    def forward(self, images, labels, cells, device_type, dtype):
        """Returns the loss of images (2n, 3, h, w): n images of the first view, then n of the second."""
        with torch.autocast(device_type, dtype=dtype, enabled=dtype is not None):
            r1, r5, r7 = self.encoder(images)
        wide = torch.float64 if r1.dtype == torch.float64 else torch.float32
        r1, r5, r7 = r1.flatten(1).to(wide), r5.flatten(2).to(wide), r7.flatten(2).to(wide)
        n = r1.shape[0] // 2
        (r1_1, r1_2), (r5_1, r5_2), (r7_1, r7_2) = r1.split(n), r5.split(n), r7.split(n)
        pick = lambda r5, cells: r5.gather(2, cells[:, None, None].expand(-1, r5.shape[1], 1)).squeeze(2)
        tasks = [self.nce(r1_1, r5_2), self.nce(r1_2, r5_1), self.nce(r1_1, r7_2), self.nce(r1_2, r7_1),
                 self.nce(pick(r5_1, cells[0]), r5_2), self.nce(pick(r5_2, cells[1]), r5_1)]
        objective = 0.5 * sum(loss for loss, _ in tasks)
        penalty = 0.5 * sum(penalty for _, penalty in tasks)
        probe = sum(classification(logits, labels.repeat(2)) for logits in self.evaluator(r1.detach()))
        return objective + penalty + probe, objective

    def nce(self, contexts, targets):
        n, d = contexts.shape
        raw = contexts @ targets.permute(1, 0, 2).reshape(d, -1) / math.sqrt(d)
        penalty = 0.05 * raw.square().mean()
        scores = self.tclip * torch.tanh(raw / self.tclip)
        scores = scores.view(n, n, -1)
        own = torch.eye(n, dtype=torch.bool, device=scores.device)
        positives = scores.diagonal(dim1=0, dim2=1).t()
        negatives = scores.masked_fill(own[:, :, None], -math.inf).view(n, -1).logsumexp(1, keepdim=True)
        return (torch.logaddexp(positives, negatives) - positives).mean(), penalty


def classification(logits, labels):
    return F.cross_entropy(10.0 * torch.tanh(logits / 10.0), labels, ignore_index=-1) + 1e-3 * logits.square().mean()


# Comparison with the golden tensors.

def safetensors(path):
    """Returns the tensors of a file by name."""
    types = {"F16": torch.float16, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensor = torch.frombuffer(data[start + begin:start + end], dtype=types[entry["dtype"]]) if end > begin else torch.empty(0)
        tensors[name] = tensor.view(entry["shape"])
    return tensors


def check(folder):
    """Compares the first losses of every case, in f64, to 1e-6."""
    cases = [path for path in sorted(Path(folder).glob("case_*.json"))]
    if not cases:
        sys.exit(f"no case_*.json in {folder}")
    for path in cases:
        facts, tensors = json.loads(path.read_text()), safetensors(path.with_suffix(".safetensors"))
        config = facts["config"]
        model = Model(config["encoder_size"], config["ndf"], config["n_rkhs"], config["n_depth"], config["use_bn"],
                      config["n_classes"], dropout=0.0, tclip=config["tclip"]).double()
        state = {name.removeprefix("state/").replace("encoder.module.", "encoder."): tensor
                 for name, tensor in tensors.items() if name.startswith("state/")}
        state.pop("g2l_loss.masks_r5", None)
        model.load_state_dict(state)
        images = torch.cat([(tensors[name].double() - 128.0) / 64.0 for name in ("in/x1_u8", "in/x2_u8")])
        cells = tensors["in/src5"][0]
        total, objective = model(images, tensors["in/labels"], cells, "cpu", None)
        for name, found in (("loss_opt", total), ("loss_g2l", objective)):
            golden = facts["losses_warm"][0][name]
            off = abs(found.item() - golden) / abs(golden)
            if off > 1e-6:
                sys.exit(f"{path.stem}: {name} is off by {off:.1e}")
    print(json.dumps({"cases": len(cases)}))


# Speed.

def named(name):
    """Returns the device of this name with its index, which `torch.cuda` needs."""
    device = torch.device(name)
    return torch.device("cuda", 0) if device.type == "cuda" and device.index is None else device


def chosen(name):
    """Returns the device of this name, after making it the current one for PyTorch's statistics."""
    device = named(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def median_ms(step, device, steps, rounds):
    times = []
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(device)
        times.append((time.perf_counter() - start) * 1e3 / steps)
    return statistics.median(times), min(times)


def time_step(args):
    device = chosen(args.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.dtype == "tf32"
    torch.manual_seed(0)
    model = Model(128, args.ndf, args.n_rkhs, args.n_depth).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, betas=(0.8, 0.999), weight_decay=1e-5, fused=True)
    n = args.batch_size
    images = torch.randn(2 * n, 3, 128, 128, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(n, dtype=torch.int64, device=device)
    dtype = torch.bfloat16 if args.dtype == "bf16" else None
    loss_of = model if args.mode == "eager" else torch.compile(model, mode=None if args.mode == "default" else args.mode)

    def step():
        optimizer.zero_grad(set_to_none=True)
        cells = torch.randint(25, (2, n), device=device)
        loss, _ = loss_of(images, labels, cells, device.type, dtype)
        loss.backward()
        optimizer.step()

    flops = None
    if args.mode == "eager":
        from torch.utils.flop_counter import FlopCounterMode
        with FlopCounterMode(display=False) as counter:
            step()
        flops = counter.get_total_flops()
    start = time.perf_counter()
    for _ in range(args.warm_up):
        step()
    synchronize(device)
    warm_up = time.perf_counter() - start
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    ms, least = median_ms(step, device, args.steps, args.rounds)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    print(json.dumps({"ms": ms, "ms_least": least, "flops": flops, "bytes": peak, "warm_up_s": warm_up}))


def matmul(args):
    device = chosen(args.device)
    size = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)
    step = lambda: torch.mm(a, b, out=out)
    for _ in range(5):
        step()
    _, least = median_ms(step, device, 20, 5)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    print(json.dumps({"flops_per_s": 2 * size**3 / (least * 1e-3), "size": size, "device": name,
                      "torch": torch.__version__, "cuda": torch.version.cuda}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("fixtures")
    timed = commands.add_parser("time")
    for name in ("--ndf", "--n-rkhs", "--n-depth", "--batch-size"):
        timed.add_argument(name, type=int, required=True)
    timed.add_argument("--mode", choices=["eager", "default", "max-autotune"], default="eager")
    timed.add_argument("--dtype", choices=["bf16", "f32", "tf32"], default="bf16")
    timed.add_argument("--steps", type=int, default=10)
    timed.add_argument("--rounds", type=int, default=5)
    timed.add_argument("--warm-up", type=int, default=8)
    for command in (timed, commands.add_parser("matmul")):
        command.add_argument("--device", default="cuda")
    args = parser.parse_args()
    if args.command == "check":
        check(args.fixtures)
    elif args.command == "time":
        time_step(args)
    else:
        matmul(args)


if __name__ == "__main__":
    main()
