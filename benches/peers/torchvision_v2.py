"""webdataset, torchvision's decoder and its v2 transforms of tensors."""

import torch
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

import from_webdataset
import measure as m

flip = v2.RandomHorizontalFlip(m.FLIP)
view = v2.Compose([
    v2.RandomResizedCrop(m.SIDE, m.SCALE, m.RATIO, v2.InterpolationMode.BICUBIC, antialias=True),
    v2.RandomApply([v2.ColorJitter(m.BRIGHTNESS, m.CONTRAST, m.SATURATION, m.HUE)], m.JITTER),
    v2.RandomGrayscale(m.GRAY),
])


def pair(jpeg):
    encoded = torch.frombuffer(bytearray(jpeg), dtype=torch.uint8)
    image = flip(decode_jpeg(encoded, ImageReadMode.RGB))
    return view(image), view(image)


options = m.arguments()
m.measure(from_webdataset.batches(options, pair), options, "webdataset", "torchvision", "torch")
