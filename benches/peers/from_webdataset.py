"""Shards to batches as webdataset recommends: decoded, augmented and batched in the workers of a DataLoader."""

import torch
import webdataset as wds

from measure import BATCH


def batches(options, pair):
    """`pair` makes two uint8 tensors (3, 128, 128) of the bytes of a JPEG."""
    samples = wds.WebDataset(options.data, resampled=True, shardshuffle=False)
    dataset = samples.to_tuple("jpg").map_tuple(pair).map(lambda sample: sample[0])
    dataset = dataset.batched(BATCH, collation_fn=collate, partial=False)
    return torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=options.workers)


def collate(pairs):
    return [torch.stack(view) for view in zip(*pairs)]
