// Batch norms with the sum and the ReLU that follow them.

#include "norms.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <atomic>
#include <limits>
#include <vector>

#include "shim.h"

using torch::autograd::AutogradContext;
using Optional = std::optional<at::Tensor>;
using torch::autograd::variable_list;

extern "C" {

// A batch norm over the channels, which normalizes each of `groups` consecutive parts of a batch by its own statistics.
// Each has running statistics that it updates, or null.
struct amdim_batch_norm {
  at::Tensor *weight, *bias;
  at::Tensor *const *running_means, *const *running_vars;
  size_t groups;
  double momentum, eps;
};
}

namespace {

// The functions of devices, by c10's device type.
std::array<std::atomic<amdim_normalize>, static_cast<size_t>(c10::DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES)> functions{};

Optional optional(const at::Tensor* tensor) { return tensor ? Optional(*tensor) : std::nullopt; }

bool is_channels_last(const at::Tensor& images) {
  return images.dim() == 4 && images.is_contiguous(at::MemoryFormat::ChannelsLast);
}

// The device's function, if it takes these tensors. It counts elements in 32 bits.
amdim_normalize function_for(const at::Tensor& x, const Optional& skip) {
  bool fits = is_channels_last(x) && x.numel() <= std::numeric_limits<int32_t>::max() &&
              (!skip || (is_channels_last(*skip) && skip->scalar_type() == x.scalar_type() && skip->sizes() == x.sizes()));
  return fits ? functions[static_cast<size_t>(x.device().type())].load() : nullptr;
}

// relu(norm(x) + skip), and the mean and the inverse deviation of each group in turn.
struct Normalized {
  at::Tensor result;
  variable_list statistics;
};

std::vector<at::Tensor> parts(const at::Tensor& batch, size_t groups) {
  return groups == 1 ? std::vector<at::Tensor>{batch} : batch.chunk(static_cast<int64_t>(groups), 0);
}

at::Tensor joined(const std::vector<at::Tensor>& groups) { return groups.size() == 1 ? groups[0] : at::cat(groups, 0); }

Normalized by_function(amdim_normalize function, const at::Tensor& x, const Optional& skip, const amdim_batch_norm& norm) {
  Normalized made{at::empty_like(x), {}};
  auto inputs = parts(x, norm.groups), results = parts(made.result, norm.groups);
  auto skips = skip ? parts(*skip, norm.groups) : std::vector<at::Tensor>{};
  for (size_t group = 0; group < inputs.size(); ++group) {
    auto [mean, var] = at::batch_norm_update_stats(inputs[group], optional(norm.running_means[group]),
                                                   optional(norm.running_vars[group]), norm.momentum);
    auto invstd = var.add_(norm.eps).rsqrt_();
    amdim_normalized call{results[group], inputs[group], *norm.weight, *norm.bias, mean, invstd, {}};
    if (skip) call.skip = skips[group];
    function(&call);
    made.statistics.insert(made.statistics.end(), {mean, invstd});
  }
  return made;
}

Normalized by_operations(const at::Tensor& x, const Optional& skip, const amdim_batch_norm& norm) {
  Normalized made;
  std::vector<at::Tensor> results;
  for (const auto& input : parts(x, norm.groups)) {
    auto group = results.size();
    auto [result, mean, invstd] =
        at::native_batch_norm(input, *norm.weight, *norm.bias, optional(norm.running_means[group]),
                              optional(norm.running_vars[group]), true, norm.momentum, norm.eps);
    results.push_back(result);
    made.statistics.insert(made.statistics.end(), {mean, invstd});
  }
  made.result = joined(results);
  if (skip) made.result.add_(*skip);
  made.result.relu_();
  return made;
}

// relu(norm(x) + skip), normalized by the statistics of x; without a skip, it is relu(norm(x)).
struct NormRelu : torch::autograd::Function<NormRelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Optional& skip, const at::Tensor& weight,
                            const at::Tensor& /*bias*/, const amdim_batch_norm* norm) {
    c10::impl::ExcludeDispatchKeyGuard without_autocast(c10::autocast_dispatch_keyset);
    auto* function = function_for(x, skip);
    auto made = function ? by_function(function, x, skip, *norm) : by_operations(x, skip, *norm);
    variable_list saved{x, made.result, weight};
    saved.insert(saved.end(), made.statistics.begin(), made.statistics.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["eps"] = norm->eps;
    context->saved_data["has_skip"] = skip.has_value();
    return made.result;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &result = saved[1], &weight = saved[2];
    auto eps = context->saved_data["eps"].toDouble();
    auto groups = (saved.size() - 3) / 2;
    auto gradient = at::threshold_backward(gradients[0], result, 0);
    auto inputs = parts(x, groups), along = parts(gradient, groups);
    std::vector<at::Tensor> of_x;
    at::Tensor of_weight, of_bias;
    for (size_t group = 0; group < groups; ++group) {
      const auto &mean = saved[3 + 2 * group], &invstd = saved[4 + 2 * group];
      auto [input, factors, offsets] = at::native_batch_norm_backward(along[group], inputs[group], weight, {}, {}, mean,
                                                                      invstd, true, eps, {true, true, true});
      of_x.push_back(input);
      of_weight = group == 0 ? factors : of_weight.add_(factors);
      of_bias = group == 0 ? offsets : of_bias.add_(offsets);
    }
    auto of_skip = context->saved_data["has_skip"].toBool() ? gradient : at::Tensor();
    return {joined(of_x), of_skip, of_weight, of_bias, at::Tensor()};
  }
};

}  // namespace

extern "C" {

// Has batch norms on devices of this type computed by `function`, or by libtorch's operations if it is null.
void amdim_normalize_by(int device_type, amdim_normalize function) { functions[device_type] = function; }

// See `NormRelu`; `skip` may be null.
int amdim_norm_relu(at::Tensor* x, at::Tensor* skip, const amdim_batch_norm* norm, at::Tensor** out) {
  return amdim_guarded([&] {
    *out = new at::Tensor(NormRelu::apply(*x, optional(skip), *norm->weight, *norm->bias, norm));
  });
}
}
