// What follows the statistics of a batch norm, by a device's own function.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

extern "C" {

// The tensors of relu((x - mean) · invstd · weight + bias + skip), which is written to `out`: `out`, `x` and `skip`
// (n, c, h, w) have the same type and are dense in channels-last order; the others (c) have one type.
struct amdim_normalized {
  at::Tensor out, x, weight, bias, mean, invstd;
  std::optional<at::Tensor> skip;
};

// A function that queues this on the current stream of its device.
typedef void (*amdim_normalize)(const amdim_normalized*);
}
