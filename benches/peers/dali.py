"""NVIDIA DALI with every operator on the CPU."""

import itertools

from nvidia.dali import fn, pipeline_def, types

import measure as m


@pipeline_def(batch_size=m.BATCH, device_id=None)
def pairs(shards):
    (jpegs,) = [fn.readers.webdataset(paths=shards, ext=["jpg"], missing_component_behavior="error")]
    images = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB)
    flip = fn.random.coin_flip(probability=m.FLIP)
    return view(images, flip), view(images, flip)


def view(images, flip):
    crop = fn.random_resized_crop(images, size=[m.SIDE, m.SIDE], random_area=m.SCALE, random_aspect_ratio=m.RATIO,
                                  interp_type=types.INTERP_CUBIC, antialias=True)
    jitter = fn.random.coin_flip(probability=m.JITTER)
    colour = 1 - fn.random.coin_flip(probability=m.GRAY)
    brightness, contrast, saturation = (
        1 + jitter * fn.random.uniform(range=[-most, most]) for most in (m.BRIGHTNESS, m.CONTRAST, m.SATURATION))
    hue = jitter * fn.random.uniform(range=[-360 * m.HUE, 360 * m.HUE])
    twisted = fn.color_twist(crop, brightness=brightness, contrast=contrast, saturation=saturation * colour, hue=hue)
    # The flip costs least after the crop. That is equivalent, because both views share the coin and crops are symmetric.
    return fn.flip(twisted, horizontal=flip)


options = m.arguments()
pipeline = pairs(options.data, num_threads=options.workers)
pipeline.build()
batches = (pipeline.run() for _ in itertools.count())
m.measure(batches, options, "nvidia-dali-cuda130", "nvidia-nvimgcodec-cu13")
