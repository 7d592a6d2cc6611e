"""NVIDIA DALI with every operator on the CPU."""

import itertools

from nvidia.dali import fn, pipeline_def, types

import measure as m

options = m.arguments()
r = options.recipe


@pipeline_def(batch_size=m.BATCH, device_id=None, enable_conditionals=True)
def pairs(shards):
    (jpegs,) = [fn.readers.webdataset(paths=shards, ext=["jpg"], missing_component_behavior="error")]
    images = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB)
    flip = fn.random.coin_flip(probability=r.shared_flip or r.flip)
    return view(images, flip), view(images, flip if r.shared_flip else fn.random.coin_flip(probability=r.flip))


def view(images, flip):
    crop = fn.random_resized_crop(images, size=[r.side, r.side], random_area=r.scale, random_aspect_ratio=r.ratio,
                                  interp_type=types.INTERP_CUBIC, antialias=True)
    jitter = fn.random.coin_flip(probability=r.jitter)
    colour = 1 - fn.random.coin_flip(probability=r.gray)
    brightness, contrast, saturation = (
        1 + jitter * fn.random.uniform(range=[-most, most]) for most in (r.brightness, r.contrast, r.saturation))
    hue = jitter * fn.random.uniform(range=[-360 * r.hue, 360 * r.hue])
    twisted = fn.color_twist(crop, brightness=brightness, contrast=contrast, saturation=saturation * colour, hue=hue)
    # A flip costs least after the crop. That is equivalent even if both views share the coin, because crops are symmetric.
    return blurred(fn.flip(twisted, horizontal=flip))


def blurred(images):
    if r.blur:
        if fn.random.coin_flip(probability=r.blur, dtype=types.BOOL):
            images = fn.gaussian_blur(images, sigma=fn.random.uniform(range=r.sigma))
    return images


pipeline = pairs(options.data, num_threads=options.workers)
pipeline.build()
batches = (pipeline.run() for _ in itertools.count())
m.measure(batches, options, "nvidia-dali-cuda130", "nvidia-nvimgcodec-cu13")
