// Matrix products by cuBLASLt, which writes what follows a product with the product itself. Part of the library
// that is loaded if there is CUDA.
//
// The headers of cuBLAS are not among those that a build fetches, so what is needed of them is declared here; the
// functions are found by name when they are first called. Numbers and layouts are those of CUDA 13's cublasLt.h.

#include "matmul.h"

#include <c10/cuda/CUDAStream.h>
#include <dlfcn.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace at::cuda {
void* getCurrentCUDABlasLtHandle();
}

namespace {

using Handle = void*;

struct Algorithm {
  uint64_t data[8];
};
struct Candidate {
  Algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

enum { COMPUTE_F32 = 68 };
enum { TRANSPOSE_A = 3, TRANSPOSE_B = 4, EPILOGUE = 7, AUX_POINTER = 11, AUX_LEADING = 12 };
enum { MOST_WORKSPACE = 1, LEAST_ALIGNMENT_A = 5, LEAST_ALIGNMENT_D = 8 };

// The functions of libcublasLt.
struct Library {
  int (*descriptor_new)(Handle*, int compute, int scalar);
  int (*descriptor_free)(Handle);
  int (*descriptor_set)(Handle, int name, const void*, size_t);
  int (*layout_new)(Handle*, int type, uint64_t rows, uint64_t columns, int64_t leading);
  int (*layout_free)(Handle);
  int (*preference_new)(Handle*);
  int (*preference_free)(Handle);
  int (*preference_set)(Handle, int name, const void*, size_t);
  int (*candidates)(Handle, Handle, Handle, Handle, Handle, Handle, Handle, int, Candidate*, int*);
  int (*multiply)(Handle, Handle, const void* alpha, const void* a, Handle, const void* b, Handle, const void* beta,
                  const void* c, Handle, void* d, Handle, const Algorithm*, void* workspace, size_t, cudaStream_t);
};

template <class Function>
bool find(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

// The library, or null if a function is missing.
const Library* library() {
  static const std::optional<Library> found = []() -> std::optional<Library> {
    Library all{};
    bool is_complete = find(all.descriptor_new, "cublasLtMatmulDescCreate") &&
                       find(all.descriptor_free, "cublasLtMatmulDescDestroy") &&
                       find(all.descriptor_set, "cublasLtMatmulDescSetAttribute") &&
                       find(all.layout_new, "cublasLtMatrixLayoutCreate") &&
                       find(all.layout_free, "cublasLtMatrixLayoutDestroy") &&
                       find(all.preference_new, "cublasLtMatmulPreferenceCreate") &&
                       find(all.preference_free, "cublasLtMatmulPreferenceDestroy") &&
                       find(all.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
                       find(all.candidates, "cublasLtMatmulAlgoGetHeuristic") && find(all.multiply, "cublasLtMatmul");
    return is_complete ? std::optional(all) : std::nullopt;
  }();
  return found ? &*found : nullptr;
}

// A handle that is freed; `status` is the first failure of those that made or set it.
struct Owned {
  Handle handle = nullptr;
  int (*free)(Handle);
  int status = 0;
  explicit Owned(int (*free)(Handle)) : free(free) {}
  Owned(const Owned&) = delete;
  ~Owned() {
    if (handle) free(handle);
  }
  void note(int code) { status = status ? status : code; }
};

struct Layout : Owned {
  Layout(const Library& lt, const amdim_matrix& matrix) : Owned(lt.layout_free) {
    note(lt.layout_new(&handle, matrix.type, matrix.rows, matrix.columns, matrix.leading));
  }
};

struct Descriptor : Owned {
  Descriptor(const Library& lt, const amdim_matmul& call) : Owned(lt.descriptor_free) {
    note(lt.descriptor_new(&handle, COMPUTE_F32, AMDIM_F32));
    auto set = [&](int name, const auto& value) { note(lt.descriptor_set(handle, name, &value, sizeof value)); };
    set(TRANSPOSE_A, call.is_a_transposed);
    set(TRANSPOSE_B, call.is_b_transposed);
    set(EPILOGUE, call.epilogue);
    if (!call.mask) return;
    set(AUX_POINTER, call.mask);
    set(AUX_LEADING, call.mask_leading);
  }
};

struct Preference : Owned {
  Preference(const Library& lt, const amdim_matmul& call) : Owned(lt.preference_free) {
    note(lt.preference_new(&handle));
    auto set = [&](int name, const auto& value) { note(lt.preference_set(handle, name, &value, sizeof value)); };
    set(MOST_WORKSPACE, call.workspace_bytes);
    for (int name = LEAST_ALIGNMENT_A; name <= LEAST_ALIGNMENT_D; ++name) set(name, AMDIM_ALIGNMENT);
  }
};

// What an algorithm depends on.
using Key = std::array<int64_t, 15>;

Key key_of(const amdim_matmul& call) {
  return {call.m, call.n, call.k, call.a.type, call.a.leading, call.b.leading, call.c.leading, call.d.leading,
          call.d.type, call.is_a_transposed, call.is_b_transposed, call.epilogue, call.c.data != nullptr,
          call.mask_leading, call.device.index};
}

struct Handles {
  Descriptor descriptor;
  Layout a, b, c, d;
  Handles(const Library& lt, const amdim_matmul& call)
      : descriptor(lt, call), a(lt, call.a), b(lt, call.b), c(lt, call.c), d(lt, call.d) {}
  bool are_made() const { return !(descriptor.status || a.status || b.status || c.status || d.status); }
};

// The algorithm that the library thinks fastest, or nothing if it has none; asked once for each kind of product.
std::optional<Algorithm> algorithm(const Library& lt, const amdim_matmul& call, const Handles& of, Handle handle) {
  static std::mutex mutex;
  static std::map<Key, std::optional<Algorithm>> known;
  std::lock_guard lock(mutex);
  auto [at, is_new] = known.try_emplace(key_of(call));
  if (is_new) {
    Preference preference(lt, call);
    Candidate best{};
    int count = 0;
    int status = preference.status ? preference.status
                                   : lt.candidates(handle, of.descriptor.handle, of.a.handle, of.b.handle, of.c.handle,
                                                   of.d.handle, preference.handle, 1, &best, &count);
    if (status == 0 && count > 0 && best.state == 0) at->second = best.algorithm;
  }
  return at->second;
}

}  // namespace

extern "C" {

// See `amdim_multiply`. Factors are bf16, results bf16 or f32.
int amdim_cublas_multiply(const amdim_matmul* call) {
  const auto* lt = library();
  bool is_known = call->a.type == AMDIM_BF16 && call->b.type == AMDIM_BF16 && call->d.type != AMDIM_F64;
  if (!lt || !is_known) return AMDIM_UNSUPPORTED;
  Handles of(*lt, *call);
  if (!of.are_made()) return AMDIM_UNSUPPORTED;
  auto* handle = at::cuda::getCurrentCUDABlasLtHandle();
  auto chosen = algorithm(*lt, *call, of, handle);
  if (!chosen) return AMDIM_UNSUPPORTED;
  float one = 1, beta = call->c.data ? 1 : 0;
  auto stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(call->device.index)).stream();
  int status = lt->multiply(handle, of.descriptor.handle, &one, call->a.data, of.a.handle, call->b.data, of.b.handle, &beta,
                            call->c.data ? call->c.data : call->d.data, of.c.handle, call->d.data, of.d.handle, &*chosen,
                            call->workspace, call->workspace_bytes, stream);
  return status == 0 ? AMDIM_OK : AMDIM_LIBRARY_STATUS + status;
}
}
