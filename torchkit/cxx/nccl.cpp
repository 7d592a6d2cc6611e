// NCCL for groups of ranks. It is part of the library for CUDA, if NCCL's header is there.

#include "shim.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>

using c10d::ProcessGroupNCCL;

extern "C" {

// Makes a backend for the current CUDA device; it connects at the first collective.
int amdim_nccl_new(c10d::Store* store, int rank, int size, int64_t timeout, c10d::Backend** out) {
  return amdim_guarded([&] {
    // libtorch's own threads would end the process at a timeout; the program notices it and has something to save.
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
    setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 0);
    auto options = ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout);
    auto own = c10::make_intrusive<c10d::PrefixStore>("nccl", store->clone());
    *out = c10::make_intrusive<ProcessGroupNCCL>(own, rank, size, options).release();
  });
}
}
