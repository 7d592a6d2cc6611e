// CUDA graphs: a library of its own, loaded if there is CUDA. Only it needs CUDA's headers and libtorch's
// CUDA half.

#include "shim.h"

#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

#include <memory>

std::string& amdim_last_error() {
  static thread_local std::string error;
  return error;
}

namespace {

// A graph with a memory pool of its own, which can be freed even if recording fails.
struct Recording {
  at::cuda::CUDAGraph graph;
  at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
  c10::DeviceIndex device = c10::cuda::current_device();
};

// Does what libtorch leaves undone when the end of a recording fails: the allocator and the generator would
// go on as
// if it lasted. Each step is tried separately, as the device may be lost.
void forget(Recording& recording) {
  amdim_guarded([&] { (void)cudaGetLastError(); });
  amdim_guarded([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(recording.device, recording.pool); });
  amdim_guarded([&] { c10::cuda::CUDACachingAllocator::releasePool(recording.device, recording.pool); });
  amdim_guarded([&] {
    at::Generator generator = at::cuda::detail::getDefaultCUDAGenerator(recording.device);
    auto fresh = at::cuda::detail::createCUDAGenerator(recording.device);
    fresh.set_current_seed(generator.current_seed());
    generator.graphsafe_set_state(fresh);
  });
}

template <class Next>
int settled(int code, Recording* recording, Next&& next) {
  if (code == AMDIM_OK) {
    next();
  } else if (recording) {
    auto why = amdim_last_error();
    forget(*recording);
    amdim_last_error() = why;
  }
  return code;
}

}  // namespace

extern "C" {

const char* amdim_graph_error() { return amdim_last_error().c_str(); }

// Begins to record what is queued on the current stream, which must not be the default one. Other threads may
// use the
// device meanwhile. Tensors allocated meanwhile use the graph's memory; unused memory is freed for it first.
int amdim_graph_begin(Recording** out) {
  std::unique_ptr<Recording> recording;
  int code = amdim_guarded([&] {
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    recording = std::make_unique<Recording>();
    recording->graph.capture_begin(recording->pool, cudaStreamCaptureModeThreadLocal);
  });
  return settled(code, recording.get(), [&] { *out = recording.release(); });
}

int amdim_graph_end(Recording* recording) {
  return settled(amdim_guarded([&] { recording->graph.capture_end(); }), recording, [] {});
}

// Queues the recorded work on the current stream. Random numbers follow from the present state of the default
// generator.
int amdim_graph_replay(Recording* recording) {
  return amdim_guarded([&] { recording->graph.replay(); });
}

void amdim_graph_free(Recording* recording) {
  amdim_guarded([&] { delete recording; });
}
}
