"""FFCV on JPEGs: its decoder with two crops for each image, and its colour operations for each view."""

import io
import itertools
import sys
import tarfile
from dataclasses import replace

import cv2
import numpy
from ffcv.fields import RGBImageField
from ffcv.fields.rgb_image import IMAGE_MODES, RandomResizedCropRGBImageDecoder, get_random_crop
from ffcv.libffcv import imdecode, resize_crop
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.transforms import RandomBrightness, RandomContrast, RandomSaturation, ToTensor
from ffcv.writer import DatasetWriter
from PIL import Image

import measure as m

cv2.setNumThreads(0)


class Jpeg(RGBImageField):
    """Stores the bytes of a JPEG unchanged; FFCV's own field would encode the pixels again."""

    def encode(self, destination, jpeg, malloc):
        destination["mode"] = IMAGE_MODES["jpg"]
        destination["width"], destination["height"] = Image.open(io.BytesIO(jpeg)).size
        destination["data_ptr"], storage = malloc(len(jpeg))
        storage[:] = numpy.frombuffer(jpeg, numpy.uint8)


class TwoCrops(RandomResizedCropRGBImageDecoder):
    """Decodes once and crops twice."""

    def declare_state_and_memory(self, previous):
        state, (_, whole) = super().declare_state_and_memory(previous)
        shape = (2, *state.shape)
        return replace(state, shape=shape), (AllocationQuery(shape, state.dtype), whole)

    def generate_code(self):
        read, batch = self.memory_read, Compiler.get_iterator()
        decode, resize, crop = map(Compiler.compile, (imdecode, resize_crop, get_random_crop))
        scale, ratio = numpy.array(self.scale), numpy.array(self.ratio)

        def two_crops(indices, memory, metadata, storage):
            views, whole = memory
            for at in batch(len(indices)):
                field = metadata[indices[at]]
                height, width = numpy.uint32(field["height"]), numpy.uint32(field["width"])
                image = whole[at]
                jpeg = read(field["data_ptr"], storage)
                decode(jpeg, image, height, width, height, width, 0, 0, 1, 1, False, False)
                image = image.reshape(-1)[:3 * height * width].reshape(height, width, 3)
                for view in range(2):
                    i, j, h, w = crop(height, width, scale, ratio)
                    resize(image, i, i + h, j, j + w, views[at, view])
            return views[:len(indices)]

        two_crops.is_parallel = True
        return two_crops


class Flip(Operation):
    """Flips views, by one coin for both if they share it, after the crop, where it costs least."""

    def __init__(self, recipe):
        super().__init__()
        self.recipe = recipe

    def declare_state_and_memory(self, previous):
        return replace(previous, jit_mode=True), None

    def generate_code(self):
        batch, shares, p = Compiler.get_iterator(), self.recipe.shared_flip > 0, self.recipe.shared_flip or self.recipe.flip

        def flip(images, _):
            coins = numpy.random.rand(len(images), 2) < p
            for at in batch(len(images)):
                for view in range(2):
                    if coins[at, 0 if shares else view]:
                        images[at, view] = images[at, view, :, ::-1].copy()
            return images

        flip.is_parallel = True
        return flip


class EachView(Operation):
    """Applies an operation of single images to both views, with separate draws."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def declare_state_and_memory(self, previous):
        return replace(previous, jit_mode=True), None

    def generate_code(self):
        operation = Compiler.compile(self.operation.generate_code())

        def each_view(images, _):
            n, views, height, width, channels = images.shape
            operation(images.reshape(n * views, height, width, channels))
            return images

        return each_view


class Gray(Operation):
    """Turns views gray; FFCV has no such operation."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def declare_state_and_memory(self, previous):
        return replace(previous, jit_mode=True), None

    def generate_code(self):
        batch, p = Compiler.get_iterator(), self.p

        def gray(images, *_):
            coins = numpy.random.rand(len(images)) < p
            for at in batch(len(images)):
                if coins[at]:
                    for row in images[at]:
                        for pixel in row:
                            pixel[:] = numpy.uint8(0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2])
            return images

        gray.is_parallel = True
        return gray


class Blur(Operation):
    """Blurs views by OpenCV, in Python; FFCV has no such operation."""

    def __init__(self, p, sigma):
        super().__init__()
        self.p, self.sigma = p, sigma

    def declare_state_and_memory(self, previous):
        return replace(previous, jit_mode=False), None

    def generate_code(self):
        def blur(images, _):
            for image in images.reshape(-1, *images.shape[2:]):
                if numpy.random.rand() < self.p:
                    cv2.GaussianBlur(image, (0, 0), numpy.random.uniform(*self.sigma), dst=image)
            return images

        return blur


class Samples:
    """The JPEGs of shards as a dataset for FFCV's writer."""

    def __init__(self, shards):
        self.jpegs = []
        for shard in shards:
            with tarfile.open(shard) as tar:
                self.jpegs += [(tar.extractfile(entry).read(),) for entry in tar if entry.name.endswith(".jpg")]

    def __len__(self):
        return len(self.jpegs)

    def __getitem__(self, at):
        return self.jpegs[at]


def convert(beton, shards):
    DatasetWriter(beton, {"image": Jpeg()}, num_workers=1).from_indexed_dataset(Samples(shards))


def main():
    options = m.arguments()
    r = options.recipe
    colour = [RandomBrightness(r.brightness, r.jitter), RandomContrast(r.contrast, r.jitter),
              RandomSaturation(r.saturation, r.jitter), Gray(r.gray)]
    blur = [Blur(r.blur, r.sigma)] if r.blur else []
    pipeline = [TwoCrops((r.side, r.side), r.scale, r.ratio), Flip(r), *map(EachView, colour), *blur, ToTensor()]
    loader = Loader(options.data[0], m.BATCH, options.workers, order=OrderOption.RANDOM, os_cache=True,
                    drop_last=True, pipelines={"image": pipeline}, custom_fields={"image": Jpeg})
    epochs = itertools.chain.from_iterable(loader for _ in itertools.count())
    m.measure(epochs, options, "ffcv", "numba", "numpy", *(["opencv-python-headless"] if r.blur else []))


if __name__ == "__main__":
    if sys.argv[1] == "--convert":
        convert(sys.argv[2], sys.argv[3:])
    else:
        main()
