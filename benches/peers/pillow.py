"""webdataset, Pillow (or pillow-simd) and torchvision's transforms of PIL images: the loader of the AMDIM reference."""

import io

import PIL
from PIL import Image
from torchvision import transforms as t

import from_webdataset
import measure as m

flip = t.RandomHorizontalFlip(m.FLIP)
view = t.Compose([
    t.RandomResizedCrop(m.SIDE, m.SCALE, m.RATIO, t.InterpolationMode.BICUBIC),
    t.RandomApply([t.ColorJitter(m.BRIGHTNESS, m.CONTRAST, m.SATURATION, m.HUE)], m.JITTER),
    t.RandomGrayscale(m.GRAY),
    t.PILToTensor(),
])


def pair(jpeg):
    image = flip(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    return view(image), view(image)


options = m.arguments()
package = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
m.measure(from_webdataset.batches(options, pair), options, "webdataset", package, "torchvision")
