"""The recipe of the views, for all loaders: `peers-ours --recipe NAME --print` writes it as JSON."""

import json
from pathlib import Path

NAMES = ("in128", "simclr224")


class Recipe:
    """A random crop, a flip, colour jitter, gray and a blur, in this order, for each of two views; the flip may be shared."""

    def __init__(self, file):
        self.file = Path(file)
        recipe = json.loads(self.file.read_text())
        shared = operations(recipe["shared"])
        (group,) = recipe["groups"]
        first, second = map(operations, group["views"])
        assert first == second and set(shared) <= {"flip"}, "peers make two views that share nothing but a flip"
        known = ["resized_crop", "flip", "color_jitter", "grayscale", "gaussian_blur"]
        assert list(first) == [name for name in known if name in first], "peers have another order of operations"
        self.side = group["side"]
        self.scale, self.ratio = first["resized_crop"]["scale"], first["resized_crop"]["ratio"]
        assert first["resized_crop"]["filter"] == "bicubic", "peers resize by bicubic interpolation"
        # Probabilities of the flip before the crops, which both views share, and of that of each view.
        self.shared_flip, self.flip = probability(shared, "flip"), probability(first, "flip")
        self.jitter, self.gray = probability(first, "color_jitter"), probability(first, "grayscale")
        self.brightness, self.contrast, self.saturation, self.hue = (
            first["color_jitter"][name] for name in ("brightness", "contrast", "saturation", "hue"))
        self.blur = probability(first, "gaussian_blur")
        self.sigma = first["gaussian_blur"]["sigma"] if self.blur else (0.0, 0.0)

    @property
    def name(self):
        return self.file.stem

    @property
    def taps(self):
        """The taps of a blur whose kernel has one size: SimCLR's tenth of the side, made odd."""
        return self.side // 10 | 1

    def __str__(self):
        (least, most), (narrow, wide), (sharp, soft) = self.scale, self.ratio, self.sigma
        colours = ", ".join(f"{most:g}" for most in (self.brightness, self.contrast, self.saturation, self.hue))
        shared = f"One flip for both views (p = {self.shared_flip:g}). " if self.shared_flip else ""
        *parts, last = [
            f"a random resized crop (scale {least:g}–{most:g}, ratio {narrow:.3g}–{wide:.3g}) to {self.side} pixels, bicubic and "
            "antialiased",
            *([f"a flip (p = {self.flip:g})"] if self.flip else []),
            f"colour jitter (p = {self.jitter:g}; {colours})",
            f"gray (p = {self.gray:g})",
            *([f"a Gaussian blur (p = {self.blur:g}, σ {sharp:g}–{soft:g})"] if self.blur else []),
        ]
        return f"{shared}For each view {', '.join(parts)} and {last}."


def operations(listed):
    return {operation["op"]: operation for operation in listed}


def probability(operations, name):
    return operations[name]["p"] if name in operations else 0.0
