// Backends of c10d: gloo, and the count of bytes that a backend sends.

#include "group.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>

using c10::intrusive_ptr;
using c10::ivalue::Future;
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

  intrusive_ptr<Future> getFuture() override { return exchange->getFuture(); }
};

// The collectives of a backend that are under way. Aborting ends each of them with an error, whatever gloo does with it:
// a send to a process that does not read goes on until its timeout, even if its connection is closed.
class UnderWay {
 public:
  void add(const intrusive_ptr<Future>& future) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (is_aborted_) fail(*future);
    futures_.insert(future);
  }

  // Ends a collective as `done` has ended, unless it was aborted.
  void end(const intrusive_ptr<Future>& future, Future& done) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!futures_.erase(future) || future->completed()) return;
    }
    if (done.hasError()) {
      future->setErrorIfNeeded(done.exception_ptr());
    } else {
      future->markCompleted(done.value());
    }
  }

  void abort() {
    std::set<intrusive_ptr<Future>> futures;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      is_aborted_ = true;
      futures.swap(futures_);
    }
    for (const auto& future : futures) fail(*future);
  }

 private:
  std::mutex mutex_;
  std::set<intrusive_ptr<Future>> futures_;
  bool is_aborted_ = false;

  static void fail(Future& future) {
    future.setErrorIfNeeded(std::make_exception_ptr(std::runtime_error("Socket closed: the group was aborted")));
  }
};

// A collective that an abort ends.
struct Abortable : Work {
  intrusive_ptr<Work> inner;
  intrusive_ptr<Future> future = c10::make_intrusive<Future>(c10::ListType::create(c10::TensorType::get()));

  Abortable(intrusive_ptr<Work> work, std::shared_ptr<UnderWay> under_way) : inner(std::move(work)) {
    under_way->add(future);
    inner->getFuture()->addCallback(
        [future = future, under_way = std::move(under_way)](Future& done) { under_way->end(future, done); });
  }

  bool isCompleted() override { return future->completed(); }
  intrusive_ptr<Future> getFuture() override { return future; }

  bool wait(std::chrono::milliseconds timeout) override {
    if (timeout == kNoTimeout) {
      future->wait();
    } else if (!is_done_within(timeout)) {
      TORCH_CHECK(false, "Operation timed out!");
    }
    if (future->hasError()) std::rethrow_exception(future->exception_ptr());
    return inner->wait(timeout);
  }

 private:
  bool is_done_within(std::chrono::milliseconds timeout) const {
    struct Signal {
      std::mutex mutex;
      std::condition_variable changed;
    };
    auto signal = std::make_shared<Signal>();
    future->addCallback([signal](Future&) {
      std::lock_guard<std::mutex> lock(signal->mutex);
      signal->changed.notify_all();
    });
    std::unique_lock<std::mutex> lock(signal->mutex);
    return signal->changed.wait_for(lock, timeout, [&] { return future->completed(); });
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
  // None of NCCL, whose collectives an abort ends.
  std::shared_ptr<UnderWay> under_way = is_gloo(*inner) ? std::make_shared<UnderWay>() : nullptr;

  Counted(intrusive_ptr<Backend> backend, amdim_sent sent)
      : Backend(backend->getRank(), backend->getSize()),
        inner(std::move(backend)),
        sent(std::move(sent)),
        mutex(mutex_of(*inner)) {}

  const std::string getBackendName() const override { return inner->getBackendName(); }
  void abort() override {
    inner->abort();
    if (under_way) under_way->abort();
  }

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
    intrusive_ptr<Work> work = collective();
    *sent += bytes;
    if (under_way && work) return c10::make_intrusive<Abortable>(work, under_way);
    return work;
  }

  // gloo numbers the collectives of a group without a lock, and records those of all groups of a process without one.
  // It only queues them, unlike NCCL, which may wait for peers in such a call.
  static std::mutex& mutex_of(const Backend& backend) {
    static std::mutex of_gloo, of_others;
    return is_gloo(backend) ? of_gloo : of_others;
  }

  static bool is_gloo(const Backend& backend) { return dynamic_cast<const Gloo*>(&backend) != nullptr; }

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
