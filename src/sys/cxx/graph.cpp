// CUDA graphs: a library of its own, loaded where there is CUDA. It alone needs CUDA's headers and libtorch's CUDA half.

#include "shim.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>

std::string& amdim_last_error() {
  static thread_local std::string error;
  return error;
}

extern "C" {

const char* amdim_graph_error() { return amdim_last_error().c_str(); }

// Begins to record what is queued on the current stream, which is not the default one. Other threads may use the device
// meanwhile. What tensors take meanwhile is the graph's own; memory that nothing lies in is made free for it first.
int amdim_graph_begin(at::cuda::CUDAGraph** out) {
  return amdim_guarded([&] {
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    *out = graph.release();
  });
}

int amdim_graph_end(at::cuda::CUDAGraph* graph) {
  return amdim_guarded([&] { graph->capture_end(); });
}

// Queues what was recorded on the current stream. Random numbers are those of the default generator as it stands.
int amdim_graph_replay(at::cuda::CUDAGraph* graph) {
  return amdim_guarded([&] { graph->replay(); });
}

void amdim_graph_free(at::cuda::CUDAGraph* graph) {
  amdim_guarded([&] { delete graph; });
}
}
