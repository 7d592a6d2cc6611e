// Groups of ranks, and their collectives without gradients.

#include "group.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include <functional>
#include <future>
#include <thread>

using c10::intrusive_ptr;
using c10d::ReduceOp;
using c10d::Work;
using std::chrono::milliseconds;

namespace {

// At most this many bytes of small tensors travel as one.
constexpr size_t BUFFER_BYTES = 25 << 20;

void wait(const intrusive_ptr<Work>& work) {
  if (work) work->wait();  // a collective that has been waited for returns none
}

// Calls `collective` with contiguous tensors in which all values of `tensors` lie, and copies the results back.
void coalesced(at::TensorList tensors, const std::function<void(const at::Tensor&)>& collective) {
  std::vector<at::Tensor> buffer;
  size_t bytes = 0;
  auto flush = [&] {
    if (buffer.size() == 1 && buffer[0].is_contiguous()) {
      collective(buffer[0]);
    } else if (!buffer.empty()) {
      std::vector<at::Tensor> flat;
      std::vector<int64_t> sizes;
      for (const auto& tensor : buffer) {
        flat.push_back(tensor.reshape(-1));
        sizes.push_back(tensor.numel());
      }
      auto all = at::cat(flat);
      collective(all);
      auto results = all.split_with_sizes(sizes);
      for (size_t i = 0; i < buffer.size(); ++i) buffer[i].copy_(results[i].view_as(buffer[i]));
    }
    buffer.clear();
    bytes = 0;
  };
  for (const auto& tensor : tensors) {
    bool fits = buffer.empty() || (tensor.scalar_type() == buffer[0].scalar_type() &&
                                   tensor.device() == buffer[0].device() && bytes + tensor.nbytes() <= BUFFER_BYTES);
    if (!fits) flush();
    buffer.push_back(tensor);
    bytes += tensor.nbytes();
  }
  flush();
}

std::vector<at::Tensor> tensors_of(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> values;
  for (size_t i = 0; i < count; ++i) values.push_back(*tensors[i]);
  return values;
}

// A begun collective and its result.
struct Reduction {
  intrusive_ptr<Work> work;
  at::Tensor result;
};

}  // namespace

c10d::Backend& amdim_group::backend_of(const at::Tensor& tensor) const {
  return *processes->getBackend(tensor.device().type());
}

void amdim_group::all_reduce(at::Tensor contiguous, ReduceOp::RedOpType op) const {
  c10d::AllreduceOptions options;
  options.reduceOp = op;
  options.timeout = timeout;
  options.asyncOp = false;
  std::vector<at::Tensor> tensors{contiguous};
  wait(backend_of(contiguous).allreduce(tensors, options));
}

void amdim_group::broadcast(at::Tensor contiguous, int64_t root) const {
  c10d::BroadcastOptions options;
  options.rootRank = root;
  options.timeout = timeout;
  options.asyncOp = false;
  std::vector<at::Tensor> tensors{contiguous};
  wait(backend_of(contiguous).broadcast(tensors, options));
}

at::Tensor amdim_group::all_gather(const at::Tensor& own) const {
  TORCH_CHECK(own.dim() > 0, "a scalar cannot be gathered along its first dimension");
  auto input = own.contiguous();
  auto sizes = input.sizes().vec();
  sizes[0] *= size();
  auto gathered = at::empty(sizes, input.options());
  if (input.numel() == 0) return gathered;
  c10d::AllgatherOptions options;
  options.timeout = timeout;
  options.asyncOp = false;
  wait(backend_of(input)._allgather_base(gathered, input, options));
  return gathered;
}

at::Tensor amdim_group::reduce_scatter(const at::Tensor& all) const {
  TORCH_CHECK(all.dim() > 0 && all.size(0) % size() == 0, "a tensor of sizes ", all.sizes(), " cannot be divided among ",
              size(), " ranks");
  auto input = all.contiguous();
  auto sizes = input.sizes().vec();
  sizes[0] /= size();
  auto share = at::empty(sizes, input.options());
  if (input.numel() == 0) return share;
  c10d::ReduceScatterOptions options;
  options.timeout = timeout;
  options.asyncOp = false;
  wait(backend_of(input)._reduce_scatter_base(share, input, options));
  return share;
}

// gloo's threads end only once their collectives have ended or timed out. Nobody waits for that longer than for a
// group that is at rest.
amdim_group::~amdim_group() {
  std::promise<void> left;
  auto has_left = left.get_future();
  auto leave = [processes = std::move(processes), left = std::move(left)]() mutable {
    amdim_guarded([&] { processes.reset(); });
    left.set_value();
  };
  int code = amdim_guarded([&] { std::thread(std::move(leave)).detach(); });
  if (code == AMDIM_OK) has_left.wait_for(milliseconds(200));
}

extern "C" {

// Makes a group for CPUs, and for CUDA as well if `nccl` is not null: a backend of which this takes over the reference.
int amdim_group_new(c10d::Store* store, int rank, int size, int64_t timeout, const char* address, c10d::Backend* nccl,
                    amdim_group** out) {
  using Processes = c10d::ProcessGroup;
  return amdim_guarded([&] {
    auto cuda = intrusive_ptr<c10d::Backend>::reclaim(nccl);
    auto own = store->clone();  // a rendezvous that waits does not keep other callers of the store waiting
    own->setTimeout(milliseconds(timeout));
    auto group = c10::make_intrusive<amdim_group>(c10::make_intrusive<Processes>(own, rank, size), milliseconds(timeout));
    auto gloo = amdim_gloo_backend(c10::make_intrusive<c10d::PrefixStore>("gloo", own), rank, size, group->timeout, address);
    auto& processes = *group->processes;
    processes.setBackend(c10::DeviceType::CPU, Processes::GLOO, amdim_counted(gloo, group->sent));
    processes.setDefaultBackend(Processes::GLOO);
    if (cuda) processes.setBackend(c10::DeviceType::CUDA, Processes::NCCL, amdim_counted(cuda, group->sent));
    *out = group.release();
  });
}

void amdim_group_free(amdim_group* group) {
  amdim_guarded([&] { intrusive_ptr<amdim_group>::reclaim(group); });
}

int amdim_group_abort(amdim_group* group) {
  return amdim_guarded([&] { group->processes->abort(); });
}

uint64_t amdim_group_sent(amdim_group* group) { return *group->sent; }

int amdim_group_all_reduce(amdim_group* group, at::Tensor* const* tensors, size_t count, int op, int divide) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    coalesced(tensors_of(tensors, count), [&](const at::Tensor& values) {
      group->all_reduce(values, static_cast<ReduceOp::RedOpType>(op));
      if (divide) values.div_(group->size());
    });
  });
}

int amdim_group_broadcast(amdim_group* group, at::Tensor* const* tensors, size_t count, int64_t root) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    coalesced(tensors_of(tensors, count), [&](const at::Tensor& values) { group->broadcast(values, root); });
  });
}

int amdim_group_all_gather(amdim_group* group, at::Tensor* own, at::Tensor** out) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    *out = new at::Tensor(group->all_gather(*own));
  });
}

int amdim_group_barrier(amdim_group* group, int64_t timeout) {
  return amdim_guarded([&] {
    c10d::BarrierOptions options;
    options.timeout = milliseconds(timeout);
    wait(group->processes->getBackend(c10::DeviceType::CPU)->barrier(options));
  });
}

int amdim_reduction_begin(amdim_group* group, at::Tensor* values, int op, Reduction** out) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    c10d::AllreduceOptions options;
    options.reduceOp = static_cast<ReduceOp::RedOpType>(op);
    options.timeout = group->timeout;
    std::vector<at::Tensor> result{values->contiguous()};
    auto work = group->processes->getBackend(values->device().type())->allreduce(result, options);
    *out = new Reduction{work, result[0]};
  });
}

int amdim_reduction_is_done(Reduction* reduction, int* out) {
  return amdim_guarded([&] { *out = reduction->work->isCompleted(); });
}

int amdim_reduction_wait(Reduction* reduction, int64_t timeout, at::Tensor** out) {
  return amdim_guarded([&] {
    reduction->work->wait(milliseconds(timeout));
    *out = new at::Tensor(reduction->result);
  });
}

void amdim_reduction_free(Reduction* reduction) {
  amdim_guarded([&] { delete reduction; });
}
}
