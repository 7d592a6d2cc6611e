// One matrix product as cuBLASLt takes it, in a form that other libraries can compute too.
#pragma once

#include "shim.h"

#include <cstdint>

extern "C" {

// What follows a product. The numbers are those of cublasLtEpilogue_t.
enum amdim_epilogue {
  AMDIM_NOTHING = 1,
  AMDIM_RELU_MASK = 2 | 128,  // max(x, 0); sets bit i of column j of `mask` where x is positive
  AMDIM_DRELU = 8 | 128,      // zeros what has no bit in `mask`
};

// The types of matrices. The numbers are those of cudaDataType_t.
enum amdim_type { AMDIM_F32 = 0, AMDIM_F64 = 1, AMDIM_BF16 = 14 };

// A column-major matrix as it is stored; `leading` elements lie between the starts of two columns.
struct amdim_matrix {
  void* data;
  int32_t type;
  int64_t rows, columns, leading;
};

// D (m, n) = epilogue(op(A) (m, k) · op(B) (k, n) + C): op transposes where the flag is set, and there is no
// C where its data is null. Sums are f32, or f64 if the matrices are.
struct amdim_matmul {
  int64_t m, n, k;
  amdim_matrix a, b, c, d;
  int32_t is_a_transposed, is_b_transposed;
  int32_t epilogue;
  void* mask;            // bits (m, n), column-major
  int64_t mask_leading;  // bits between the starts of two columns, a multiple of 128
  void* workspace;       // memory that the function may use until the product is over
  size_t workspace_bytes;
  amdim_device device;
};

// Matrices and masks start at multiples of this many bytes, and so do their columns.
constexpr uint32_t AMDIM_ALIGNMENT = 16;

// A function that queues a product on the current stream of its device. It returns AMDIM_OK, AMDIM_UNSUPPORTED if
// nothing was queued, or a failure: AMDIM_LIBRARY_STATUS plus the status of the library.
enum { AMDIM_UNSUPPORTED = 3, AMDIM_LIBRARY_STATUS = 1000 };
typedef int (*amdim_multiply)(const amdim_matmul*);
}
