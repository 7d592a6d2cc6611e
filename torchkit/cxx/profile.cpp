// The kernels that a device spends its time on, measured by libtorch's own profiler (Kineto).

#include "shim.h"

#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <map>
#include <set>

namespace {

namespace profiler = torch::profiler::impl;

std::set<profiler::ActivityType> activities(bool cuda) {
  std::set<profiler::ActivityType> all{profiler::ActivityType::CPU};
  if (cuda) all.insert(profiler::ActivityType::CUDA);
  return all;
}

profiler::ProfilerConfig configuration() { return profiler::ProfilerConfig(profiler::ProfilerState::KINETO); }

struct Total {
  int64_t count = 0, nanoseconds = 0;
};

}  // namespace

extern "C" {

int amdim_profile_start(int cuda) {
  return amdim_guarded([&] {
    TORCH_CHECK(!c10::ThreadLocalDebugInfo::get(c10::DebugInfoKind::PROFILER_STATE), "memory is watched, or profiled, already");
    torch::autograd::profiler::prepareProfiler(configuration(), activities(cuda));
    torch::autograd::profiler::enableProfiler(configuration(), activities(cuda), {at::RecordScope::FUNCTION});
  });
}

// Ends the profile and passes the name, the number of runs and the total time of every kernel to `each`.
// Without CUDA
// these are operations, with the operations that they call included.
int amdim_profile_stop(int cuda, void* to, void (*each)(void* to, const char* name, int64_t count, int64_t nanoseconds)) {
  return amdim_guarded([&] {
    auto result = torch::autograd::profiler::disableProfiler();
    auto wanted = cuda ? c10::DeviceType::CUDA : c10::DeviceType::CPU;
    std::map<std::string, Total> totals;
    for (const auto& event : result->events()) {
      if (event.deviceType() != wanted) continue;
      auto& total = totals[event.name()];
      total.count += 1;
      total.nanoseconds += static_cast<int64_t>(event.durationNs());
    }
    for (const auto& [name, total] : totals) each(to, name.c_str(), total.count, total.nanoseconds);
  });
}
}
