// The engine of DistributedDataParallel: averages gradients while they are computed.

#include "group.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <string>

namespace {

struct Reducer {
  c10::intrusive_ptr<amdim_group> group;  // freed last
  std::vector<at::Tensor> parameters;
  std::unique_ptr<c10d::Reducer> engine;
};

std::unique_ptr<c10d::Reducer> engine_of(const std::vector<at::Tensor>& parameters,
                                         const c10::intrusive_ptr<c10d::ProcessGroup>& processes) {
  constexpr size_t first = c10d::kDefaultFirstBucketBytes, most = c10d::kDefaultBucketBytesCap;
  std::vector<bool> sparse(parameters.size(), false);
  auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(parameters, {first, most}, sparse);
  std::reverse(buckets.begin(), buckets.end());  // the last layer's gradients come first
  std::unordered_map<size_t, std::string> names;
  for (size_t i = 0; i < parameters.size(); ++i) names[i] = std::to_string(i);
  return std::make_unique<c10d::Reducer>(
      parameters, buckets, processes, sparse, most, /*find_unused_parameters=*/false,
      /*gradient_as_bucket_view=*/true, names, first, /*skip_all_reduce_unused_params=*/false,
      /*use_python_reducer=*/false, std::vector<int64_t>{});
}

// Runs `work`, whose failure c10d explains in lines of text, and throws one line in their place: the numbers of the
// parameters without a gradient, which c10d separates by spaces.
template <class Work>
void checked(Work&& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace(), before = "did not receive grad for rank ";
    auto found = text.find(before);
    if (found == std::string::npos) throw;
    auto start = text.find(": ", found) + 2, end = std::min(text.find('\n', start), text.size());
    TORCH_CHECK(false, "gradients are not averaged, as these parameters got none: ", text.substr(start, end - start));
  }
}

}  // namespace

extern "C" {

int amdim_reducer_new(amdim_group* group, at::Tensor* const* parameters, size_t count, Reducer** out) {
  return amdim_guarded([&] {
    std::vector<at::Tensor> list;
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(parameters[i]->is_leaf() && parameters[i]->requires_grad(), "parameter ", i, " gets no gradient");
      list.push_back(*parameters[i]);
    }
    c10d::verify_params_across_processes(group->processes, list, std::nullopt);
    auto engine = engine_of(list, group->processes);
    *out = new Reducer{amdim_shared(group), std::move(list), std::move(engine)};
  });
}

void amdim_reducer_free(Reducer* reducer) {
  amdim_guarded([&] { delete reducer; });
}

int amdim_reducer_zero(Reducer* reducer) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    for (const auto& parameter : reducer->parameters) {
      if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    }
    if (!gradients.empty()) at::_foreach_zero_(gradients);
  });
}

int amdim_reducer_prepare_forward(Reducer* reducer) {
  return amdim_guarded([&] {
    reducer->engine->prepare_for_forward();
    checked([&] { reducer->engine->rebuild_buckets(); });
  });
}

int amdim_reducer_prepare_backward(Reducer* reducer) {
  return amdim_guarded([&] { reducer->engine->prepare_for_backward({}); });
}

int amdim_reducer_check(Reducer* reducer) {
  return amdim_guarded([&] { checked([&] { reducer->engine->check_finalized(); }); });
}
}
