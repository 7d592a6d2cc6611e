"""webdataset, Pillow (or pillow-simd) and torchvision's transforms of PIL images: the loader of the AMDIM reference."""

import io
import random

import PIL
from PIL import Image, ImageFilter
from torchvision import transforms as t

import from_webdataset
import measure as m

options = m.arguments()
r = options.recipe


def blur(image):
    return image.filter(ImageFilter.GaussianBlur(random.uniform(*r.sigma)))


flip = t.RandomHorizontalFlip(r.shared_flip)
view = t.Compose([
    t.RandomResizedCrop(r.side, r.scale, r.ratio, t.InterpolationMode.BICUBIC),
    t.RandomHorizontalFlip(r.flip),
    t.RandomApply([t.ColorJitter(r.brightness, r.contrast, r.saturation, r.hue)], r.jitter),
    t.RandomGrayscale(r.gray),
    t.RandomApply([blur], r.blur),
    t.PILToTensor(),
])


def pair(jpeg):
    image = flip(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    return view(image), view(image)


package = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
m.measure(from_webdataset.batches(options, pair), options, "webdataset", package, "torchvision")
