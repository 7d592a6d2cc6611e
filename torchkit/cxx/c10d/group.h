// Ranks that communicate, shared by the C functions for c10d.
#pragma once

#include "../shim.h"

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <atomic>
#include <chrono>
#include <memory>

// The number of bytes that the collectives of a rank have sent.
using amdim_sent = std::shared_ptr<std::atomic<uint64_t>>;

// A rank's end of a group of ranks. Each of its backends counts the bytes that are sent.
struct amdim_group : torch::CustomClassHolder {
  c10::intrusive_ptr<c10d::ProcessGroup> processes;
  amdim_sent sent = std::make_shared<std::atomic<uint64_t>>(0);
  std::chrono::milliseconds timeout;

  amdim_group(c10::intrusive_ptr<c10d::ProcessGroup> processes, std::chrono::milliseconds timeout)
      : processes(std::move(processes)), timeout(timeout) {}
  ~amdim_group() override;

  int rank() const { return processes->getRank(); }
  int size() const { return processes->getSize(); }

  // Each of these waits until its result can be used: on the host for a CPU, in the current stream for CUDA.
  void all_reduce(at::Tensor contiguous, c10d::ReduceOp::RedOpType op) const;
  void broadcast(at::Tensor contiguous, int64_t root) const;
  at::Tensor all_gather(const at::Tensor& own) const;      // (n, …) → (size·n, …)
  at::Tensor reduce_scatter(const at::Tensor& all) const;  // (size·n, …) → (n, …), the sum over ranks

 private:
  c10d::Backend& backend_of(const at::Tensor& tensor) const;
};

// Makes a backend for CPUs. `address` is this rank's own, or empty for libtorch's choice.
c10::intrusive_ptr<c10d::Backend> amdim_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                     std::chrono::milliseconds timeout, const std::string& address);

// Wraps a backend in one that adds the bytes which it sends to `sent`, and which any thread may call.
c10::intrusive_ptr<c10d::Backend> amdim_counted(c10::intrusive_ptr<c10d::Backend> backend, amdim_sent sent);

// Returns another reference to an object that a caller of this library holds.
template <class Object>
c10::intrusive_ptr<Object> amdim_shared(Object* object) {
  return c10::intrusive_ptr<Object>::unsafe_reclaim_from_nonowning(object);
}
