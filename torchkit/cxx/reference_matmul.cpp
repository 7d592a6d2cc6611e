// Computes matrix products on the CPU from the descriptions that cuBLASLt gets, element by element, by the rules of
// its documentation: leading dimensions, transposes, epilogues, bits of masks. For tests.

#include "matmul.h"

#include <c10/util/BFloat16.h>

#include <atomic>
#include <vector>

namespace {

std::atomic<int64_t> computed{0};

double element(const amdim_matrix& matrix, int64_t row, int64_t column) {
  auto at = row + column * matrix.leading;
  switch (matrix.type) {
    case AMDIM_BF16: return static_cast<float>(static_cast<c10::BFloat16*>(matrix.data)[at]);
    case AMDIM_F32: return static_cast<float*>(matrix.data)[at];
    default: return static_cast<double*>(matrix.data)[at];
  }
}

void set(const amdim_matrix& matrix, int64_t row, int64_t column, double value) {
  auto at = row + column * matrix.leading;
  switch (matrix.type) {
    case AMDIM_BF16: static_cast<c10::BFloat16*>(matrix.data)[at] = static_cast<float>(value); break;
    case AMDIM_F32: static_cast<float*>(matrix.data)[at] = static_cast<float>(value); break;
    default: static_cast<double*>(matrix.data)[at] = value;
  }
}

double factor(const amdim_matrix& matrix, bool is_transposed, int64_t row, int64_t column) {
  return is_transposed ? element(matrix, column, row) : element(matrix, row, column);
}

// Whether a stored matrix has the shape that the product asks for, and columns that do not overlap.
bool fits(const amdim_matrix& matrix, bool is_transposed, int64_t rows, int64_t columns) {
  if (is_transposed) std::swap(rows, columns);
  return matrix.rows == rows && matrix.columns == columns && matrix.leading >= rows;
}

bool is_aligned(const amdim_matrix& matrix) {
  int64_t size = matrix.type == AMDIM_BF16 ? 2 : matrix.type == AMDIM_F32 ? 4 : 8;
  return reinterpret_cast<uintptr_t>(matrix.data) % AMDIM_ALIGNMENT == 0 && matrix.leading * size % AMDIM_ALIGNMENT == 0;
}

// What cuBLASLt would refuse, or do wrong.
bool is_right(const amdim_matmul& call) {
  bool has_mask = call.epilogue == AMDIM_RELU_MASK || call.epilogue == AMDIM_DRELU;
  bool is_mask_right = !has_mask || (call.mask && call.mask_leading >= call.m && call.mask_leading % 128 == 0 &&
                                     reinterpret_cast<uintptr_t>(call.mask) % AMDIM_ALIGNMENT == 0);
  return fits(call.a, call.is_a_transposed, call.m, call.k) && fits(call.b, call.is_b_transposed, call.k, call.n) &&
         fits(call.c, false, call.m, call.n) && fits(call.d, false, call.m, call.n) && is_aligned(call.a) &&
         is_aligned(call.b) && is_aligned(call.d) && (!call.c.data || is_aligned(call.c)) && is_mask_right &&
         call.c.type == call.d.type && call.a.type == call.b.type;
}

}  // namespace

extern "C" {

// See `amdim_multiply`. A description that is wrong fails.
int amdim_reference_multiply(const amdim_matmul* call) {
  if (!is_right(*call)) return AMDIM_LIBRARY_STATUS + 7;
  ++computed;
  auto* mask = static_cast<uint8_t*>(call->mask);
  for (int64_t column = 0; column < call->n; ++column) {
    for (int64_t row = 0; row < call->m; ++row) {
      double sum = call->c.data ? element(call->c, row, column) : 0;
      for (int64_t i = 0; i < call->k; ++i) {
        sum += factor(call->a, call->is_a_transposed, row, i) * factor(call->b, call->is_b_transposed, i, column);
      }
      auto bit = row + column * call->mask_leading;
      auto in_byte = static_cast<uint8_t>(1 << bit % 8);
      if (call->epilogue == AMDIM_RELU_MASK) {
        mask[bit / 8] = static_cast<uint8_t>(sum > 0 ? mask[bit / 8] | in_byte : mask[bit / 8] & ~in_byte);
        sum = sum > 0 ? sum : 0;
      } else if (call->epilogue == AMDIM_DRELU && !(mask[bit / 8] & in_byte)) {
        sum = 0;
      }
      set(call->d, row, column, sum);
    }
  }
  return AMDIM_OK;
}

// The number of products so far.
int64_t amdim_reference_products() { return computed; }
}
