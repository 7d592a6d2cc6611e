// Updates of parameters: each optimizer's, of all tensors in one call, without a read by the host.

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <limits>
#include <optional>
#include <vector>

namespace {

std::vector<at::Tensor> listed(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> list;
  list.reserve(count);
  for (size_t i = 0; i < count; ++i) list.push_back(*tensors[i]);
  return list;
}

// The buffers of a momentum; without one, libtorch takes no buffers.
std::vector<at::Tensor> buffers(at::Tensor* const* tensors, size_t count, double momentum) {
  return listed(tensors, momentum == 0 ? 0 : count);
}

std::optional<at::Tensor> optional(const at::Tensor* tensor) {
  return tensor == nullptr ? std::nullopt : std::optional(*tensor);
}

}  // namespace

extern "C" {

// The tensors of one update. Each list that the optimizer reads has `count` tensors: `second` is for two
// moments, `first` for one. Gradients are divided by `*scale` if it is not null; if `*skip` is 1 nothing changes. `*lr` is read on the device.
struct amdim_update {
  at::Tensor* const* parameters;
  at::Tensor* const* gradients;
  at::Tensor* const* first;
  at::Tensor* const* second;
  size_t count;
  at::Tensor* lr;
  at::Tensor* scale;
  at::Tensor* skip;
};

// The 2-norm of all gradients together, a scalar of f32 on their device.
int amdim_norm(at::Tensor* const* gradients, size_t count, at::Tensor** out) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(listed(gradients, count), 2.0);
    *out = new at::Tensor(at::linalg_vector_norm(at::stack(norms), 2.0).to(at::kFloat));
  });
}

// Whether all numbers of the tensors, none of which is empty, are finite: a bool on their device.
int amdim_all_finite(at::Tensor* const* tensors, size_t count, at::Tensor** out) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    auto largest = at::_foreach_norm(listed(tensors, count), std::numeric_limits<double>::infinity());
    *out = new at::Tensor(at::stack(largest).isfinite().all());
  });
}

// One update of Adam, or of AdamW if `decoupled`. `*step` is incremented first, unless the update is skipped.
int amdim_adam(const amdim_update* update, at::Tensor* step, double beta1, double beta2, double weight_decay,
               double eps, int decoupled) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    auto [parameters, gradients, first, second, count, lr, scale, skip] = *update;
    step->add_(1);
    auto make = [&](auto fused) {
      fused(listed(parameters, count), listed(gradients, count), listed(first, count), listed(second, count),
            std::vector<at::Tensor>{}, std::vector<at::Tensor>(count, *step), *lr, beta1, beta2, weight_decay, eps,
            /*amsgrad=*/false, /*maximize=*/false, optional(scale), *skip);
    };
    if (decoupled) {
      make([](auto&&... arguments) { at::_fused_adamw_(arguments...); });
    } else {
      make([](auto&&... arguments) { at::_fused_adam_(arguments...); });
    }
    step->sub_(*skip);
  });
}

// One update of SGD with momentum. A buffer of zeros becomes the gradient, as the first one of PyTorch's SGD
// does.
int amdim_sgd(const amdim_update* update, double momentum, int nesterov, double weight_decay) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    auto [parameters, gradients, first, second, count, lr, scale, skip] = *update;
    at::_fused_sgd_(listed(parameters, count), listed(gradients, count), buffers(first, count, momentum), weight_decay,
                    momentum, *lr, /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false, optional(scale), *skip);
  });
}

// One update of LARS. The gradients become the terms that the moments grow by. A negative `eta` leaves out the
// trust ratio.
int amdim_lars(const amdim_update* update, double momentum, double weight_decay, double eta) {
  return amdim_guarded([&] {
    at::NoGradGuard no_grad;
    auto [parameters, gradients, first, second, count, lr, scale, skip] = *update;
    auto weights = listed(parameters, count), terms = listed(gradients, count);
    if (scale != nullptr) at::_foreach_div_(terms, *scale);
    if (weight_decay != 0) at::_foreach_add_(terms, weights, weight_decay);
    if (eta < 0) {
      at::_foreach_mul_(terms, *lr);
    } else {
      auto sizes = at::stack(at::_foreach_norm(weights, 2.0)), slopes = at::stack(at::_foreach_norm(terms, 2.0));
      auto trusted = sizes.gt(0).logical_and(slopes.gt(0));
      auto factors = at::where(trusted, eta * sizes / slopes, at::ones_like(sizes)) * *lr;
      at::_foreach_mul_(terms, factors.unbind());
    }
    at::_fused_sgd_(weights, terms, buffers(first, count, momentum), /*weight_decay=*/0.0, momentum,
                    /*lr=*/1.0, /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false,
                    /*grad_scale=*/{}, *skip);
  });
}

// Drops the gradients instead of setting them to zero: no work for the device.
int amdim_forget_gradients(at::Tensor* const* parameters, size_t count) {
  return amdim_guarded([&] {
    for (size_t i = 0; i < count; ++i) parameters[i]->mutable_grad() = at::Tensor();
  });
}
}
