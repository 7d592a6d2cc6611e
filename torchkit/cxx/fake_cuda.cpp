// A stand-in for libtorch's CUDA half, for tests of how it is loaded: it reports three GPUs and has no
// kernels.

#include <ATen/detail/CUDAHooksInterface.h>

namespace {

// libtorch looks for this name.
struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return 3; }
  at::DeviceIndex deviceCount() const override { return 3; }
};

}  // namespace

namespace at {
REGISTER_CUDA_HOOKS(CUDAHooks);
}
