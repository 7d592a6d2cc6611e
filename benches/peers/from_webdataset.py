"""Shards to batches as webdataset recommends: decoded, augmented and batched in the workers of a DataLoader."""

import torch
import webdataset as wds

from measure import BATCH


def batches(options, pair):
    """Returns batches of pairs. `pair` turns the bytes of a JPEG into two uint8 tensors of (3, side, side)."""
    samples = wds.WebDataset(options.data, resampled=True, shardshuffle=False)
    dataset = samples.to_tuple("jpg").map_tuple(pair).map(lambda sample: sample[0])
    dataset = dataset.batched(BATCH, collation_fn=collate, partial=False)
    return torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=options.workers)


def collate(pairs):
    return [torch.stack(view) for view in zip(*pairs)]
