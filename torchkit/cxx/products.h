// Matrix products with what follows them, of row-major matrices.
//
// Each is one call of a device's own function where there is one (cuBLASLt on CUDA), and else libtorch's
// operations one after the other.
#pragma once

#include <ATen/core/Tensor.h>

#include "matmul.h"

namespace amdim {

// relu(product), and which of its elements are positive: bits that only the device's function reads, or nothing.
struct Activated {
  at::Tensor result, mask;
};

// left (m, k) · right (k, n), plus `added` (m, n) where it is defined.
at::Tensor product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& added = {});

// left (m, k) · right (k, n) in `type`, such as the gradient of a weight.
at::Tensor product_in(at::ScalarType type, const at::Tensor& left, const at::Tensor& right);

// relu(left · right).
Activated product_relu(const at::Tensor& left, const at::Tensor& right);

// left · right, and zero where `forward.result` is not positive.
at::Tensor product_where(const at::Tensor& left, const at::Tensor& right, const Activated& forward);

// Adds left · right to `sum`.
void add_product(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right);

// left · right, plus `addend` (m, c) in its first c columns.
at::Tensor product_over(const at::Tensor& left, const at::Tensor& right, const at::Tensor& addend);

}  // namespace amdim
