// Backends of c10d: gloo, and the count of bytes that a backend sends.

#include "group.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <mutex>

using c10::intrusive_ptr;
using c10d::Backend;
using c10d::ProcessGroupGloo;
using c10d::Work;

namespace {

// What a rank got of an exchange, which it has to add up.
struct Scattered : Work {
  intrusive_ptr<Work> exchange;
  at::Tensor arrived, share;

  Scattered(intrusive_ptr<Work> exchange, at::Tensor arrived, at::Tensor share)
      : exchange(std::move(exchange)), arrived(std::move(arrived)), share(std::move(share)) {}

  bool wait(std::chrono::milliseconds timeout) override {
    exchange->wait(timeout);
    std::vector<int64_t> of_ranks{-1};
    of_ranks.insert(of_ranks.end(), share.sizes().begin(), share.sizes().end());
    at::sum_out(share, arrived.view(of_ranks), 0);
    return true;
  }
};

// gloo, with a reduce-scatter of its own.
struct Gloo : ProcessGroupGloo {
  using ProcessGroupGloo::ProcessGroupGloo;

  // Sends each rank its share; whoever waits adds what arrived, in the order of ranks. libtorch would add all shares on
  // all ranks, which sends twice as much, and rounds bf16 after each rank.
  intrusive_ptr<Work> _reduce_scatter_base(at::Tensor& share, at::Tensor& all,
                                           const c10d::ReduceScatterOptions& options) override {
    TORCH_CHECK(options.reduceOp.op_ == c10d::ReduceOp::SUM, "gloo scatters sums only");
    auto arrived = at::empty_like(all);
    c10d::AllToAllOptions exchange;
    exchange.timeout = options.timeout;
    std::vector<int64_t> equal;
    return c10::make_intrusive<Scattered>(alltoall_base(arrived, all, equal, equal, exchange), arrived, share);
  }

  void abort() override {
    for (const auto& context : contexts_) context->closeConnections();
  }
};

// A backend that counts what another one sends. Only these collectives are possible, so none is left uncounted.
struct Counted : Backend {
  intrusive_ptr<Backend> inner;
  amdim_sent sent;
  std::mutex& mutex;

  Counted(intrusive_ptr<Backend> backend, amdim_sent sent)
      : Backend(backend->getRank(), backend->getSize()),
        inner(std::move(backend)),
        sent(std::move(sent)),
        mutex(mutex_of(*inner)) {}

  const std::string getBackendName() const override { return inner->getBackendName(); }
  void abort() override { inner->abort(); }

  intrusive_ptr<Work> allreduce(std::vector<at::Tensor>& tensors, const c10d::AllreduceOptions& options) override {
    return counted(2 * share_of_others(tensors), [&] { return inner->allreduce(tensors, options); });
  }

  intrusive_ptr<Work> broadcast(std::vector<at::Tensor>& tensors, const c10d::BroadcastOptions& options) override {
    return counted(children(options.rootRank) * bytes(tensors), [&] { return inner->broadcast(tensors, options); });
  }

  intrusive_ptr<Work> allgather(std::vector<std::vector<at::Tensor>>& gathered, std::vector<at::Tensor>& own,
                                const c10d::AllgatherOptions& options) override {
    return counted((size_ - 1) * bytes(own), [&] { return inner->allgather(gathered, own, options); });
  }

  intrusive_ptr<Work> _allgather_base(at::Tensor& gathered, at::Tensor& own,
                                      const c10d::AllgatherOptions& options) override {
    return counted((size_ - 1) * bytes({own}), [&] { return inner->_allgather_base(gathered, own, options); });
  }

  intrusive_ptr<Work> _reduce_scatter_base(at::Tensor& share, at::Tensor& all,
                                           const c10d::ReduceScatterOptions& options) override {
    return counted(share_of_others({all}), [&] { return inner->_reduce_scatter_base(share, all, options); });
  }

  intrusive_ptr<Work> barrier(const c10d::BarrierOptions& options) override {
    return counted(0, [&] { return inner->barrier(options); });
  }

 private:
  template <class Collective>
  intrusive_ptr<Work> counted(uint64_t bytes, Collective&& collective) {
    std::lock_guard<std::mutex> lock(mutex);
    auto work = collective();
    *sent += bytes;
    return work;
  }

  // gloo numbers the collectives of a group without a lock, and records those of all groups of a process without one.
  // It only queues them, unlike NCCL, which may wait for peers in such a call.
  static std::mutex& mutex_of(const Backend& backend) {
    static std::mutex of_gloo, of_others;
    return dynamic_cast<const Gloo*>(&backend) ? of_gloo : of_others;
  }

  static uint64_t bytes(at::TensorList tensors) {
    uint64_t sum = 0;
    for (const auto& tensor : tensors) sum += tensor.nbytes();
    return sum;
  }

  // (size − 1) / size of the bytes.
  uint64_t share_of_others(at::TensorList tensors) const { return bytes(tensors) * (size_ - 1) / size_; }

  // The number of ranks to which this one passes on what `root` broadcasts, in a binomial tree.
  uint64_t children(int64_t root) const {
    int64_t place = (rank_ + size_ - root) % size_;
    uint64_t count = 0;
    for (int64_t step = 1; step < size_; step *= 2) count += place < step && place + step < size_;
    return count;
  }
};

}  // namespace

intrusive_ptr<Backend> amdim_gloo_backend(const intrusive_ptr<c10d::Store>& store, int rank, int size,
                                          std::chrono::milliseconds timeout, const std::string& address) {
  if (address.empty()) return c10::make_intrusive<Gloo>(store, rank, size, Gloo::Options::create_default(timeout));
  auto options = Gloo::Options::create(timeout);
  options->devices.push_back(Gloo::createDeviceForHostname(address));
  return c10::make_intrusive<Gloo>(store, rank, size, options);
}

intrusive_ptr<Backend> amdim_counted(intrusive_ptr<Backend> backend, amdim_sent sent) {
  return c10::make_intrusive<Counted>(std::move(backend), std::move(sent));
}
