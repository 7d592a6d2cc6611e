#include "products.h"

#include <ATen/ATen.h>

#include <array>
#include <atomic>
#include <optional>

namespace {

// The functions of devices, by c10's device type.
std::array<std::atomic<amdim_multiply>, static_cast<size_t>(c10::DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES)> functions{};

// Products that a device's function refused.
std::atomic<int64_t> refused{0};

// Memory that a function gets for each product; products of H100s want 32 MiB.
constexpr int64_t WORKSPACE = 32 << 20;

std::optional<int32_t> type_of(const at::Tensor& matrix) {
  switch (matrix.scalar_type()) {
    case at::kBFloat16: return AMDIM_BF16;
    case at::kFloat: return AMDIM_F32;
    case at::kDouble: return AMDIM_F64;
    default: return std::nullopt;
  }
}

// A row-major matrix (rows, columns) is a column-major one (columns, rows) without being moved; its transpose
// is a column-major one (rows, columns). Returns nothing if it is neither, or not aligned.
std::optional<amdim_matrix> stored(const at::Tensor& matrix, int32_t& is_transposed) {
  auto type = type_of(matrix);
  auto rows = matrix.size(0), columns = matrix.size(1);
  if (!type || rows < 2 || columns < 2) return std::nullopt;
  is_transposed = matrix.stride(1) != 1;
  auto leading = is_transposed ? matrix.stride(1) : matrix.stride(0);
  auto bytes = static_cast<int64_t>(matrix.element_size());
  bool is_aligned = leading * bytes % AMDIM_ALIGNMENT == 0 &&
                    reinterpret_cast<uintptr_t>(matrix.data_ptr()) % AMDIM_ALIGNMENT == 0;
  if ((is_transposed && matrix.stride(0) != 1) || !is_aligned) return std::nullopt;
  if (is_transposed) return amdim_matrix{matrix.data_ptr(), *type, rows, columns, leading};
  return amdim_matrix{matrix.data_ptr(), *type, columns, rows, leading};
}

std::optional<amdim_matrix> stored_by_row(const at::Tensor& matrix) {
  int32_t is_transposed = 0;
  auto found = stored(matrix, is_transposed);
  return is_transposed ? std::nullopt : found;
}

// Describes out = left · right + added. In columns, it is outᵀ = rightᵀ · leftᵀ + addedᵀ.
std::optional<amdim_matmul> described(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right,
                                      const at::Tensor& added) {
  amdim_matmul call{};
  auto a = stored(right, call.is_a_transposed), b = stored(left, call.is_b_transposed);
  auto d = stored_by_row(out), c = added.defined() ? stored_by_row(added) : d;
  if (!a || !b || !c || !d) return std::nullopt;
  if (!added.defined()) c->data = nullptr;
  call.m = out.size(1), call.n = out.size(0), call.k = left.size(1);
  call.a = *a, call.b = *b, call.c = *c, call.d = *d;
  call.epilogue = AMDIM_NOTHING;
  call.device = {static_cast<int32_t>(out.device().type()), out.device().index()};
  return call;
}

// Queues what is described by the device's function. Returns false if that is not possible.
bool queued(std::optional<amdim_matmul> call) {
  auto function = call ? functions[call->device.type].load() : nullptr;
  if (!function) return false;
  auto device = unpacked(call->device);
  at::Tensor workspace;
  if (!device.is_cpu()) {
    workspace = at::empty({WORKSPACE}, at::TensorOptions().dtype(at::kByte).device(device));
    call->workspace = workspace.data_ptr();
    call->workspace_bytes = WORKSPACE;
  }
  int code = function(&*call);
  if (code == AMDIM_UNSUPPORTED) ++refused;
  TORCH_CHECK(code == AMDIM_OK || code == AMDIM_UNSUPPORTED, "a matrix product failed with status ",
              code - AMDIM_LIBRARY_STATUS);
  return code == AMDIM_OK;
}

// Whether the device has a function for this matrix; on CUDA it has one for bf16.
bool has_function(const at::Tensor& matrix) {
  bool is_taken = matrix.is_cpu() || matrix.scalar_type() == at::kBFloat16;
  return is_taken && functions[static_cast<size_t>(matrix.device().type())].load();
}

at::Tensor matrix_like(const at::Tensor& left, int64_t columns, at::ScalarType type) {
  return at::empty({left.size(0), columns}, left.options().dtype(type));
}

// Memory for the bits of a matrix like `result`, whose columns are its rows.
at::Tensor mask_of(const at::Tensor& result, int64_t& leading) {
  leading = (result.size(1) + 127) / 128 * 128;
  return at::empty({result.size(0), leading / 8}, result.options().dtype(at::kByte));
}

// left · right + added in `type` by the device's function, or nothing if that is not possible.
at::Tensor by_function(at::ScalarType type, const at::Tensor& left, const at::Tensor& right, const at::Tensor& added) {
  if (!has_function(left)) return {};
  auto out = matrix_like(left, right.size(1), type);
  return queued(described(out, left, right, added)) ? out : at::Tensor();
}

}  // namespace

namespace amdim {

at::Tensor product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& added) {
  if (auto out = by_function(left.scalar_type(), left, right, added); out.defined()) return out;
  return added.defined() ? at::addmm(added, left, right) : at::mm(left, right);
}

at::Tensor product_in(at::ScalarType type, const at::Tensor& left, const at::Tensor& right) {
  if (auto out = by_function(type, left, right, {}); out.defined()) return out;
  return at::mm(left, right).to(type);
}

Activated product_relu(const at::Tensor& left, const at::Tensor& right) {
  if (has_function(left)) {
    auto out = matrix_like(left, right.size(1), left.scalar_type());
    auto call = described(out, left, right, {});
    if (call) {
      auto mask = mask_of(out, call->mask_leading);
      call->epilogue = AMDIM_RELU_MASK;
      call->mask = mask.data_ptr();
      if (queued(call)) return {out, mask};
    }
  }
  return {at::mm(left, right).relu_(), {}};
}

at::Tensor product_where(const at::Tensor& left, const at::Tensor& right, const Activated& forward) {
  if (forward.mask.defined()) {
    auto out = matrix_like(left, right.size(1), left.scalar_type());
    auto call = described(out, left, right, {});
    if (call) {
      call->epilogue = AMDIM_DRELU;
      call->mask = forward.mask.data_ptr();
      call->mask_leading = 8 * forward.mask.size(1);
      if (queued(call)) return out;
    }
  }
  auto out = at::mm(left, right);
  at::threshold_backward_out(out, out, forward.result, 0);
  return out;
}

void add_product(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
  if (!has_function(left) || !queued(described(sum, left, right, sum))) sum.addmm_(left, right);
}

at::Tensor product_over(const at::Tensor& left, const at::Tensor& right, const at::Tensor& addend) {
  auto first = addend.size(1), rest = right.size(1) - first;
  if (rest == 0) return product(left, right, addend);
  if (has_function(left)) {
    auto out = matrix_like(left, right.size(1), left.scalar_type());
    auto with = described(out.narrow(1, 0, first), left, right.narrow(1, 0, first), addend);
    auto without = described(out.narrow(1, first, rest), left, right.narrow(1, first, rest), {});
    if (with && without && queued(with) && queued(without)) return out;
  }
  auto out = at::mm(left, right);
  out.narrow(1, 0, first).add_(addend);
  return out;
}

}  // namespace amdim

extern "C" {

// Has products on devices of this type computed by `function`, or by libtorch if it is null.
void amdim_multiply_by(int device_type, amdim_multiply function) { functions[device_type] = function; }

// The number of products so far that a device's function refused; libtorch computed them.
int64_t amdim_refused_products() { return refused; }
}
