"""webdataset, torchvision's decoder and its v2 transforms of tensors."""

import torch
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

import from_webdataset
import measure as m

options = m.arguments()
r = options.recipe
flip = v2.RandomHorizontalFlip(r.shared_flip)
view = v2.Compose([
    v2.RandomResizedCrop(r.side, r.scale, r.ratio, v2.InterpolationMode.BICUBIC, antialias=True),
    v2.RandomHorizontalFlip(r.flip),
    v2.RandomApply([v2.ColorJitter(r.brightness, r.contrast, r.saturation, r.hue)], r.jitter),
    v2.RandomGrayscale(r.gray),
    *([v2.RandomApply([v2.GaussianBlur(r.taps, r.sigma)], r.blur)] if r.blur else []),
])


def pair(jpeg):
    encoded = torch.frombuffer(bytearray(jpeg), dtype=torch.uint8)
    image = flip(decode_jpeg(encoded, ImageReadMode.RGB))
    return view(image), view(image)


m.measure(from_webdataset.batches(options, pair), options, "webdataset", "torchvision", "torch")
