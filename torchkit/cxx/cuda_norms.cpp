// Batch norms with sum and ReLU by libtorch's own kernel, which none of its operations calls with both. Part of the
// library that is loaded if there is CUDA.

#include "norms.h"

namespace at::native {
// Null in a libtorch that has no function with this signature.
__attribute__((weak)) void batch_norm_elemt_channels_last_cuda_template(
    const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& invstd, const std::optional<at::Tensor>& added, bool has_relu);
}  // namespace at::native

extern "C" {

// See `amdim_normalize`.
void amdim_cuda_normalize(const amdim_normalized* of) {
  at::native::batch_norm_elemt_channels_last_cuda_template(of->out, of->x, of->weight, of->bias, of->mean, of->invstd,
                                                           of->skip, true);
}

// Whether the function above can be called.
int amdim_cuda_can_normalize() { return at::native::batch_norm_elemt_channels_last_cuda_template != nullptr; }
}
