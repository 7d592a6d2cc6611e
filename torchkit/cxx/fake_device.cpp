// A device for tests, on c10's PrivateUse1: its streams are threads, its memory is the host's, and every copy
// and
// kernel takes a while, so that a missing wait shows as wrong data. Only tests load it.

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace {

constexpr auto kDevice = c10::DeviceType::PrivateUse1;
constexpr size_t kStreams = 8;

std::atomic<int> copy_us{2000}, kernel_us{2000};

std::mutex hold_mutex;
std::condition_variable let_go;
std::atomic<bool> held{false};

void pause(int microseconds) { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); }

// A queue of work with its thread, which lives as long as the process.
class Queue {
 public:
  Queue() { std::thread([this] { run(); }).detach(); }

  void push(std::function<void()> work) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back(std::move(work));
    }
    changed_.notify_all();
  }

  bool is_idle() {
    std::lock_guard<std::mutex> lock(mutex_);
    return queue_.empty() && !is_busy_;
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return queue_.empty() && !is_busy_; });
  }

 private:
  void run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !queue_.empty(); });
      auto work = std::move(queue_.front());
      queue_.pop_front();
      is_busy_ = true;
      lock.unlock();
      work();
      lock.lock();
      is_busy_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool is_busy_ = false;
};

Queue& queue(c10::StreamId id) {
  static auto* queues = new std::array<Queue, kStreams>;
  return queues->at(static_cast<size_t>(id));
}

// The number of times an event was recorded, and the number of these marks that were reached.
struct Mark {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t recorded = 0, reached = 0;
  std::chrono::steady_clock::time_point at;

  void wait_for(int64_t number) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return reached >= number; });
  }

  int64_t last() {
    std::lock_guard<std::mutex> lock(mutex);
    return recorded;
  }
};

thread_local c10::StreamId current = 0;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static c10::Stream stream(c10::StreamId id) { return c10::Stream(c10::Stream::UNSAFE, {kDevice, 0}, id); }

  c10::DeviceType type() const override { return kDevice; }
  c10::Device exchangeDevice(c10::Device) const override { return {kDevice, 0}; }
  c10::Device getDevice() const override { return {kDevice, 0}; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Stream getStream(c10::Device) const override { return stream(current); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(0); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override {
    static std::atomic<c10::StreamId> next{0};
    return stream(1 + next++ % (kStreams - 1));
  }
  c10::Stream exchangeStream(c10::Stream other) const override {
    auto before = stream(current);
    current = other.id();
    return before;
  }
  bool queryStream(const c10::Stream& stream) const override { return queue(stream.id()).is_idle(); }
  void synchronizeStream(const c10::Stream& stream) const override { queue(stream.id()).wait(); }

  void record(void** event, const c10::Stream& stream, const c10::DeviceIndex, const c10::EventFlag) const override {
    if (!*event) *event = new Mark;
    auto* mark = static_cast<Mark*>(*event);
    int64_t number;
    {
      std::lock_guard<std::mutex> lock(mark->mutex);
      number = ++mark->recorded;
    }
    queue(stream.id()).push([mark, number] {
      {
        std::lock_guard<std::mutex> lock(mark->mutex);
        mark->reached = std::max(mark->reached, number);
        mark->at = std::chrono::steady_clock::now();
      }
      mark->changed.notify_all();
    });
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (!event) return;
    auto* mark = static_cast<Mark*>(event);
    queue(stream.id()).push([mark, number = mark->last()] { mark->wait_for(number); });
  }
  bool queryEvent(void* event) const override {
    if (!event) return true;
    auto* mark = static_cast<Mark*>(event);
    std::lock_guard<std::mutex> lock(mark->mutex);
    return mark->reached >= mark->recorded;
  }
  void synchronizeEvent(void* event) const override {
    if (event) static_cast<Mark*>(event)->wait_for(static_cast<Mark*>(event)->last());
  }
  double elapsedTime(void* start, void* end, const c10::DeviceIndex) const override {
    auto at = [](void* event) {
      auto* mark = static_cast<Mark*>(event);
      std::lock_guard<std::mutex> lock(mark->mutex);
      return mark->at;
    };
    return std::chrono::duration<double, std::milli>(at(end) - at(start)).count();
  }
  // Queues may still refer to it: a test's few events are not worth counting references.
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = malloc(bytes ? bytes : 1);
    return {memory, memory, &free, c10::Device(kDevice, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { memcpy(to, from, bytes); }
} allocator;

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> kind, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &allocator, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   kind.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> kind,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &allocator,
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), kind.value_or(at::kFloat));
}

// Copies in two halves with a pause before each, without keeping either tensor alive, as a copy engine would.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  TORCH_CHECK(from.is_contiguous() && to.is_contiguous() && from.dtype() == to.dtype() && from.nbytes() == to.nbytes(),
              "the fake device copies bytes");
  auto* target = static_cast<char*>(to.data_ptr());
  auto* source = static_cast<const char*>(from.data_ptr());
  size_t bytes = from.nbytes(), half = bytes / 2;
  queue(current).push([=] {
    pause(copy_us / 2);
    memcpy(target, source, half);
    pause(copy_us / 2);
    memcpy(target + half, source + half, bytes - half);
  });
  if (!non_blocking) queue(current).wait();
  return to;
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", TORCH_FN(empty));
  library.impl("empty_strided", TORCH_FN(empty_strided));
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("view", TORCH_FN(static_cast<at::Tensor (*)(const at::Tensor&, at::IntArrayRef)>(at::native::view)));
  library.impl("_copy_from", TORCH_FN(copy_from));
}

}  // namespace

extern "C" {

int amdim_fake_device_type() { return static_cast<int>(kDevice); }

void amdim_fake_delays(int copy, int kernel) {
  copy_us = copy;
  kernel_us = kernel;
}

// Keeps the current stream busy until it is released or `milliseconds` have passed.
void amdim_fake_hold(int milliseconds) {
  held = true;
  queue(current).push([=] {
    std::unique_lock<std::mutex> lock(hold_mutex);
    let_go.wait_for(lock, std::chrono::milliseconds(milliseconds), [] { return !held; });
  });
}

void amdim_fake_let_go() {
  {
    std::lock_guard<std::mutex> lock(hold_mutex);
    held = false;
  }
  let_go.notify_all();
}

// A kernel on the current stream: writes the least and the greatest byte of a tensor, read twice with a pause
// in
// between, to `out[0]` and `out[1]`, which must live until the stream has run it.
void amdim_fake_range(at::Tensor* tensor, int32_t* out) {
  auto* bytes = static_cast<const uint8_t*>(tensor->data_ptr());
  size_t count = tensor->nbytes();
  queue(current).push([=] {
    int32_t least = 255, greatest = 0;
    auto scan = [&] {
      for (size_t i = 0; i < count; ++i) {
        least = std::min<int32_t>(least, bytes[i]);
        greatest = std::max<int32_t>(greatest, bytes[i]);
      }
    };
    scan();
    pause(kernel_us);
    scan();
    out[0] = least;
    out[1] = greatest;
  });
}
}
