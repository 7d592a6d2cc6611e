"""What `tests/it/exchange.rs` asks of Python: `exchange.py COMMAND ARGUMENTS`. Ends with 0 where all is as it must be."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
import amdim_encoder  # noqa: E402


def tensors(path):
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    take = lambda entry: torch.frombuffer(bytearray(data[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]]),
                                          dtype=amdim_encoder.TYPES[entry["dtype"]]).view(entry["shape"])
    return {name: take(entry) for name, entry in header.items()}


def off(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def features(export, expected):
    """PyTorch computes from the export what this program does, feature maps included."""
    encoder, expected = amdim_encoder.load(export).eval(), tensors(expected)
    with torch.no_grad():
        found, maps = {"r1": encoder(expected["images"])}, encoder.maps(expected["images"])
        if isinstance(encoder, amdim_encoder.Encoder):
            _, found["r5"], found["r7"] = encoder.embeddings(expected["images"])
            assert {1, 5, 7, 14} <= set(maps)
        else:
            found["last"] = list(maps.values())[-1].mean(dim=(2, 3))
    worst = max(off(found[name], expected[name]) for name in found)
    assert worst < 1e-5, worst
    assert all(x.shape[2:] == (side, side) for side, x in maps.items())


def onnx(export, expected, file):
    import onnxruntime
    subprocess.run([sys.executable, ROOT / "tools/to_onnx.py", export, file], check=True)
    expected = tensors(expected)
    session = onnxruntime.InferenceSession(file)
    for count in (1, len(expected["images"])):
        (found,) = session.run(["features"], {"images": expected["images"][:count].numpy()})
        worst = off(torch.from_numpy(found), expected["r1"][:count])
        assert worst < 1e-4, worst
    subprocess.run([sys.executable, ROOT / "tools/to_onnx.py", "--pixels", export, file], check=True)
    encoder = amdim_encoder.load(export).eval()
    pixels = torch.randint(0, 256, (2, 3, encoder.side, encoder.side), dtype=torch.uint8)
    (found,) = onnxruntime.InferenceSession(file).run(["features"], {"images": pixels.numpy()})
    with torch.no_grad():
        worst = off(torch.from_numpy(found), encoder(encoder.normalize(pixels)))
    assert worst < 1e-4, worst


def pth(export, folder):
    """Checkpoints as the reference saves them, by today's `torch.save` and by that of 2019; one shares and strides storages."""
    description = json.loads(header(export)["__metadata__"]["amdim_stream"])
    encoder = description["encoder"]
    hyperparams = {name: encoder[name] for name in ("ndf", "n_rkhs", "n_depth", "use_bn")}
    hyperparams |= {"n_classes": description["classes"], "encoder_size": description["side"]}
    from collections import OrderedDict
    model = OrderedDict(sorted(tensors(export).items()))
    checkpoint = {"model": model, "hyperparams": hyperparams, "cursor": {"epoch": 3, "step": 17, "loss": 0.5}}
    torch.save(checkpoint, f"{folder}/new.pth")
    torch.save(checkpoint, f"{folder}/old.pth", _use_new_zipfile_serialization=False)
    # Every tensor a transposed part of a larger storage, and parameters as parameters.
    def hidden(tensor):
        if tensor.dim() < 2:
            return torch.nn.Parameter(tensor.clone()) if tensor.is_floating_point() else tensor
        large = torch.zeros(tensor.numel() + 5, dtype=tensor.dtype)
        part = large[5:].view(tensor.transpose(0, 1).shape)
        part.copy_(tensor.transpose(0, 1))
        return part.transpose(0, 1)
    checkpoint["model"] = OrderedDict((name, hidden(tensor)) for name, tensor in model.items())
    torch.save(checkpoint, f"{folder}/strided.pth")
    torch.save({"weights": model}, f"{folder}/other.pth")
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {folder}/executed",)
    checkpoint["cursor"] = Evil()
    torch.save(checkpoint, f"{folder}/evil.pth")
    torch.save(checkpoint, f"{folder}/evil-old.pth", _use_new_zipfile_serialization=False)
    Path(f"{folder}/evil.pkl").write_bytes(pickle.dumps(Evil(), 2))


def forms(export, folder):
    """The same model in every form that the reference's loader takes; prints the names of the files."""
    import torch
    from collections import OrderedDict
    description = json.loads(header(export)["__metadata__"]["amdim_stream"])
    encoder = description["encoder"]
    model = OrderedDict(sorted(tensors(export).items()))
    plain = {"ndf": encoder["ndf"], "n_rkhs": encoder["n_rkhs"], "n_depth": encoder["n_depth"],
             "n_classes": description["classes"], "encoder_size": description["side"], "tclip": description["tclip"]}
    names = []
    def save(name, model=model, hyperparams=plain, **more):
        cursor = {"info_epoch": np.int64(3), "info_step": 2**40, "classifier_epoch": 0, "classifier_step": -1, "note": "\u00e9\n\\"}
        torch.save({"model": model, "hyperparams": hyperparams, "cursor": cursor}, f"{folder}/{name}.pth", **more)
        names.append(name)
    for protocol in range(6):
        for zipped in (True, False):
            # A state dict's versions of modules, which are pickled as the state of the dictionary.
            versioned = OrderedDict(model)
            versioned._metadata = OrderedDict([("", {"version": 1}), ("encoder", {"version": 2})])
            save(f"protocol-{protocol}-{zipped}", versioned, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    for kind in (np.int32, np.int64, np.uint8, np.uint16):
        numbers = {name: kind(value) for name, value in plain.items() if name != "tclip"}
        for protocol in (0, 2, 4):
            save(f"{kind.__name__}-{protocol}", hyperparams=numbers | {"tclip": np.float64(plain["tclip"]), "use_bn": np.bool_(False)},
                 pickle_protocol=protocol)
    save("float32", hyperparams=plain | {"tclip": np.float32(plain["tclip"])})
    save("uncounted", OrderedDict((name, value) for name, value in model.items() if not name.endswith("num_batches_tracked")))
    bare = {name.replace("encoder.module.", "encoder."): value for name, value in model.items()}
    wrap = lambda before, within: OrderedDict((before + name.replace("encoder.", f"encoder.{within}"), value) for name, value in bare.items())
    for number, (before, within) in enumerate([("", ""), ("module.", "module."), ("_orig_mod.", "module."), ("module._orig_mod.", ""),
                                               ("_orig_mod.module.", "module._orig_mod."), ("module.module.", "_orig_mod.module.")]):
        save(f"wrapped-{number}", wrap(before, within))
    print("\n".join(names))


def reference(file, fixture, step):
    """`torch.load` reads the file, and all of it fits the reference's model, whose names and shapes the fixture has."""
    checkpoint = torch.load(file)  # of tensors and numbers alone
    assert set(checkpoint) == {"model", "hyperparams", "cursor"}, checkpoint.keys()
    expected = json.loads(Path(f"{fixture}.json").read_text())["config"]
    assert {name: checkpoint["hyperparams"][name] for name in expected} == expected, checkpoint["hyperparams"]
    cursor = checkpoint["cursor"]
    assert cursor["info_step"] == int(step) and {"info_epoch", "classifier_epoch", "classifier_step"} <= set(cursor), cursor
    root = torch.nn.Module()
    for name, tensor in tensors(f"{fixture}.safetensors").items():
        if name.startswith("state/"):
            *path, last = name.removeprefix("state/").split(".")
            module = root
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, torch.nn.Module())
                module = getattr(module, part)
            module.register_buffer(last, torch.full(tensor.shape, 9, dtype=torch.float32 if tensor.is_floating_point() else tensor.dtype))
    root.load_state_dict(checkpoint["model"], strict=True)
    kinds = {name: tensor.dtype for name, tensor in root.state_dict().items()}
    assert kinds == {name: tensor.dtype for name, tensor in checkpoint["model"].items()}
    assert all(tensor.is_contiguous() for tensor in checkpoint["model"].values())
    beside = tensors(Path(file).with_suffix(".safetensors"))
    assert all(torch.equal(beside.pop(name), tensor) for name, tensor in root.state_dict().items()) and not beside


def header(path):
    data = Path(path).read_bytes()
    return json.loads(data[8:8 + int.from_bytes(data[:8], "little")])


def embeddings(parquet, npy):
    """Both formats hold the same rows, in the order of the shards."""
    from pyarrow import parquet as reader
    count = 0
    parts = sorted(Path(parquet).glob("*.parquet"))
    assert parts and [part.stem for part in parts] == [part.stem for part in sorted(Path(npy).glob("*.npy"))]
    for part in parts:
        table = reader.read_table(part)
        assert table.column_names == ["key", "label", "embedding"], table.column_names
        numbers = np.load(Path(npy) / f"{part.stem}.npy")
        rows = [line.split("\t") for line in (Path(npy) / f"{part.stem}.tsv").read_text().splitlines()]
        assert numbers.dtype == np.float32 and len(rows) == len(numbers) == table.num_rows
        assert np.array_equal(np.array(table["embedding"].to_pylist(), dtype=np.float32), numbers)
        assert table["key"].to_pylist() == [json.loads(key) if key.startswith('"') else key for key, _ in rows]
        assert table["label"].to_pylist() == [int(label) if label else None for _, label in rows]
        count += len(rows)
    print(count)


def guide(folder):
    """What the guide shows works as it stands there."""
    os.chdir(folder)
    Path("python").symlink_to(ROOT / "python")
    (code,) = [block.split("```")[0] for block in (ROOT / "docs/guide/export.md").read_text().split("```python\n")[1:]]
    names = {}
    exec(code, names)
    assert names["features"].shape[0] == 8 and names["head"].weight.grad is not None


if __name__ == "__main__":
    {"features": features, "guide": guide, "onnx": onnx, "pth": pth, "forms": forms, "reference": reference,
     "embeddings": embeddings}[sys.argv[1]](*sys.argv[2:])
