// Additions to tch, as C functions over `at::Tensor*`, which is what `tch::Tensor::as_ptr` returns.
//
// Streams, events and pinned memory go through c10's device-generic interfaces: no CUDA header, no CUDA library to link
// with, and the same calls for the devices of tests.

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <caffe2/core/common.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace {

c10::impl::VirtualGuardImpl guard(c10::Device device) { return c10::impl::VirtualGuardImpl(device.type()); }

// Initializes the device: its allocator does not know it before the first tensor or this call.
c10::Device ready(amdim_device device) {
  auto unpacked = ::unpacked(device);
  if (unpacked.is_cuda()) at::globalContext().lazyInitDevice(unpacked.type());
  return unpacked;
}

// Counts the bytes that this thread's tensors take on the CPU.
struct HostMemory : c10::MemoryReportingInfoBase {
  int64_t now = 0, peak = 0;
  std::unordered_map<void*, int64_t> sizes;

  // Memory allocated before the watch is not counted when it is freed either.
  void reportMemoryUsage(void* address, int64_t bytes, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    if (bytes > 0) {
      sizes[address] = bytes;
      now += bytes;
      peak = std::max(peak, now);
    } else if (auto found = sizes.find(address); found != sizes.end()) {
      now -= found->second;
      sizes.erase(found);
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
};

thread_local std::shared_ptr<HostMemory> host_memory;

}  // namespace

std::string& amdim_last_error() {
  static thread_local std::string error;
  return error;
}

extern "C" {

const char* amdim_error() { return amdim_last_error().c_str(); }

// The version of the headers, and the build of the library that was loaded.

const char* amdim_built_against() { return TORCH_VERSION; }

int amdim_build(const char** out) {
  return amdim_guarded([&] {
    // `at::show_config` would ask for CUDA as well, and libtorch remembers the answer, which is no without
    // its CUDA half.
    static const std::string build = [] {
      std::string settings;
      for (const auto& [key, value] : caffe2::GetBuildOptions()) settings += key + "=" + value + ", ";
      return settings;
    }();
    *out = build.c_str();
  });
}

// Streams. Each thread has its own current stream.

int amdim_stream_current(amdim_device device, amdim_stream* out) {
  return amdim_guarded([&] { *out = packed(guard(ready(device)).getStream(unpacked(device))); });
}

int amdim_stream_new(amdim_device device, amdim_stream* out) {
  return amdim_guarded(
      [&] { *out = packed(guard(ready(device)).getStreamFromGlobalPool(unpacked(device), /*isHighPriority=*/true)); });
}

int amdim_stream_make_current(amdim_stream stream) {
  return amdim_guarded([&] {
    auto guard = ::guard(unpacked(stream.device));
    guard.setDevice(unpacked(stream.device));
    guard.exchangeStream(unpacked(stream));
  });
}

int amdim_stream_synchronize(amdim_stream stream) {
  return amdim_guarded([&] { unpacked(stream).synchronize(); });
}

// Events.

int amdim_event_new(amdim_device device, int timed, c10::Event** out) {
  return amdim_guarded([&] {
    auto flag = timed ? c10::EventFlag::BACKEND_DEFAULT : c10::EventFlag::PYTORCH_DEFAULT;
    *out = new c10::Event(unpacked(device).type(), flag);
  });
}

void amdim_event_free(c10::Event* event) { delete event; }

int amdim_event_record(c10::Event* event, amdim_stream stream) {
  return amdim_guarded([&] { event->record(unpacked(stream)); });
}

int amdim_event_block(c10::Event* event, amdim_stream stream) {
  return amdim_guarded([&] { event->block(unpacked(stream)); });
}

int amdim_event_query(c10::Event* event, int* has_passed) {
  return amdim_guarded([&] { *has_passed = event->query(); });
}

int amdim_event_elapsed(c10::Event* start, c10::Event* end, double* milliseconds) {
  return amdim_guarded([&] { *milliseconds = start->elapsedTime(*end); });
}

// Memory.

int amdim_pinned(int64_t bytes, at::Tensor** out) {
  return amdim_guarded([&] {
    auto options = at::TensorOptions().dtype(at::kByte).pinned_memory(true);
    *out = new at::Tensor(at::empty({bytes}, options));
  });
}

int amdim_empty(amdim_device device, const int64_t* sizes, size_t dimensions, int kind, at::Tensor** out) {
  return amdim_guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind)).device(unpacked(device));
    *out = new at::Tensor(at::empty(at::IntArrayRef(sizes, dimensions), options));
  });
}

// Queues a copy on the current stream of `to`'s device and does not wait for it.
int amdim_copy(at::Tensor* to, at::Tensor* from) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    to->copy_(*from, /*non_blocking=*/true);
  });
}

// The most bytes in tensors at a time so far.
int amdim_peak_memory(amdim_device device, int64_t* out) {
  return amdim_guarded([&] {
    auto* allocator = at::getDeviceAllocator(ready(device).type());
    *out = allocator->getDeviceStats(unpacked(device).index()).allocated_bytes[0].peak;
  });
}

// Bytes that the allocator holds, for tensors, recorded graphs and later use.
int amdim_reserved_memory(amdim_device device, int64_t* out) {
  return amdim_guarded([&] {
    auto* allocator = at::getDeviceAllocator(ready(device).type());
    *out = allocator->getDeviceStats(unpacked(device).index()).reserved_bytes[0].current;
  });
}

// Restarts the peak from the present use, and returns unused memory to the driver.
int amdim_reset_peak_memory(amdim_device device) {
  return amdim_guarded([&] {
    auto* allocator = at::getDeviceAllocator(ready(device).type());
    allocator->emptyCache();
    allocator->resetPeakStats(unpacked(device).index());
  });
}

// Begins to count the bytes that this thread's tensors allocate on the CPU from now on. Fails if something
// else, such
// as the profiler, listens to the allocator already.
int amdim_watch_host_memory() {
  return amdim_guarded([&] {
    TORCH_CHECK(!c10::ThreadLocalDebugInfo::get(c10::DebugInfoKind::PROFILER_STATE), "memory is watched, or profiled, already");
    auto watch = std::make_shared<HostMemory>();
    c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, watch);
    host_memory = std::move(watch);
  });
}

// Restarts the peak from the present use.
int amdim_reset_host_memory_peak() {
  return amdim_guarded([&] { host_memory->peak = host_memory->now; });
}

// The most bytes at a time since the start or the last reset.
int amdim_host_memory_peak(int64_t* out) {
  return amdim_guarded([&] { *out = host_memory->peak; });
}

int amdim_unwatch_host_memory() {
  return amdim_guarded([&] {
    c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE);
    host_memory.reset();
  });
}

int amdim_free_memory(amdim_device device, int64_t* out) {
  return amdim_guarded([&] {
    auto* allocator = at::getDeviceAllocator(ready(device).type());
    *out = static_cast<int64_t>(allocator->getMemoryInfo(unpacked(device).index()).first);
  });
}

// Precision.

int amdim_autocast(int device_type, int on, int kind) {
  return amdim_guarded([&] {
    auto type = static_cast<c10::DeviceType>(device_type);
    at::autocast::set_autocast_enabled(type, on);
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(kind));
  });
}

void amdim_autocast_enter() { at::autocast::increment_nesting(); }

// Leaving the outermost scope drops the cached casts of the weights.
void amdim_autocast_leave() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
}

int amdim_tf32(int on) {
  return amdim_guarded([&] {
    at::globalContext().setAllowTF32CuDNN(on);
    at::globalContext().setAllowTF32CuBLAS(on);
  });
}

int amdim_benchmark_convolutions(int on) {
  return amdim_guarded([&] { at::globalContext().setBenchmarkCuDNN(on); });
}
}
