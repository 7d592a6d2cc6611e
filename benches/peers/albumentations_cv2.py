"""webdataset, OpenCV and albumentations."""

import albumentations as a
import cv2
import numpy
import torch

import from_webdataset
import measure as m

cv2.setNumThreads(0)
flip = a.Compose([a.HorizontalFlip(p=m.FLIP)])
view = a.Compose([
    a.RandomResizedCrop((m.SIDE, m.SIDE), m.SCALE, m.RATIO, cv2.INTER_CUBIC),
    a.ColorJitter((1 - m.BRIGHTNESS, 1 + m.BRIGHTNESS), (1 - m.CONTRAST, 1 + m.CONTRAST),
                  (1 - m.SATURATION, 1 + m.SATURATION), (-m.HUE, m.HUE), p=m.JITTER),
    a.ToGray(p=m.GRAY),
])


def pair(jpeg):
    image = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR_RGB)
    image = flip(image=image)["image"]
    return [torch.from_numpy(numpy.ascontiguousarray(view(image=image)["image"])) for _ in range(2)]


options = m.arguments()
m.measure(from_webdataset.batches(options, pair), options, "webdataset", "albumentations", "opencv-python-headless")
