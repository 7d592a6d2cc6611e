"""webdataset, OpenCV and albumentations. With --area, crops that shrink are antialiased, by the one such filter of OpenCV."""

import albumentations as a
import cv2
import numpy
import torch

import from_webdataset
import measure as m

cv2.setNumThreads(0)
options = m.arguments("--area")
r = options.recipe
flip = a.Compose([a.HorizontalFlip(p=r.shared_flip)])
view = a.Compose([
    a.RandomResizedCrop((r.side, r.side), r.scale, r.ratio, cv2.INTER_CUBIC,
                        area_for_downscale="image" if options.area else None),
    a.HorizontalFlip(p=r.flip),
    a.ColorJitter((1 - r.brightness, 1 + r.brightness), (1 - r.contrast, 1 + r.contrast),
                  (1 - r.saturation, 1 + r.saturation), (-r.hue, r.hue), p=r.jitter),
    a.ToGray(p=r.gray),
    *([a.GaussianBlur(sigma_limit=r.sigma, p=r.blur)] if r.blur else []),
])


def pair(jpeg):
    image = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR_RGB)
    if r.shared_flip:
        image = flip(image=image)["image"]
    return [torch.from_numpy(numpy.ascontiguousarray(view(image=image)["image"])) for _ in range(2)]


m.measure(from_webdataset.batches(options, pair), options, "webdataset", "albumentations", "opencv-python-headless")
