// Layers whose forward and backward passes are functions of their own: ReLUs, sums and gradients are written by
// the products and convolutions that they follow, instead of by passes over memory.

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>
#include <vector>

#include "products.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Whether cuDNN computes a convolution, its bias and ReLU in one call.
std::atomic<bool> has_fused_convolutions{true};

// Inside of functions, the types of tensors are as they are asked for.
struct WithoutAutocast : c10::impl::ExcludeDispatchKeyGuard {
  WithoutAutocast() : ExcludeDispatchKeyGuard(c10::autocast_dispatch_keyset) {}
};

// Pixels (n·h·w, c) of images (n, c, h, w); channels-last images are not copied.
at::Tensor rows(const at::Tensor& images) {
  auto pixels = images.permute({0, 2, 3, 1});
  return pixels.reshape({-1, images.size(1)});
}

// Channels-last images (n, c, h, w) of pixels; n, h and w are those of `like`.
at::Tensor images_of(const at::Tensor& pixels, const at::Tensor& like) {
  return pixels.view({like.size(0), like.size(2), like.size(3), -1}).permute({0, 3, 1, 2});
}

// The matrix (in, out) by which a 1×1 convolution with this weight (out, in, 1, 1) multiplies pixels.
at::Tensor matrix(const at::Tensor& weight, at::ScalarType type) {
  return weight.reshape({weight.size(0), weight.size(1)}).to(type).t();
}

// The gradient of that weight, of pixels (m, in) and the gradient (m, out) of their products.
at::Tensor weight_gradient(const at::Tensor& weight, const at::Tensor& pixels, const at::Tensor& gradient) {
  return amdim::product_in(weight.scalar_type(), gradient.t(), pixels).view(weight.sizes());
}

// relu(convolution), without padding. The images, the weight and the bias have the same type.
at::Tensor convolution_relu(const at::Tensor& images, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            int64_t stride) {
  if (images.is_cuda() && images.scalar_type() == at::kBFloat16 && has_fused_convolutions) {
    return at::cudnn_convolution_relu(images, weight, bias, {stride, stride}, {0, 0}, {1, 1}, 1);
  }
  return at::conv2d(images, weight, bias, {stride, stride}).relu_();
}

// The gradients of images (if they need one), weight and bias (if there is one) of a convolution without padding.
std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_gradients(const at::Tensor& gradient, const at::Tensor& images,
                                                                     const at::Tensor& weight, int64_t stride,
                                                                     bool needs_images, bool has_bias) {
  return at::convolution_backward(gradient, images, weight, at::OptionalIntArrayRef(weight.sizes().slice(0, 1)),
                                  {stride, stride}, {0, 0}, {1, 1}, false, {0, 0}, 1, {needs_images, true, has_bias});
}

at::Tensor masked(const at::Tensor& gradient, const at::Tensor& result) {
  return at::threshold_backward(gradient, result, 0);
}

// x ← x + relu(x · w1) · w2 for each pair of weights (c, c, 1, 1) in turn, of pixels x (m, c).
struct Chain : torch::autograd::Function<Chain> {
  static at::Tensor forward(AutogradContext* context, at::Tensor x, at::TensorList weights) {
    WithoutAutocast guard;
    variable_list saved;
    for (size_t i = 0; i < weights.size(); i += 2) {
      auto w1 = matrix(weights[i], x.scalar_type()), w2 = matrix(weights[i + 1], x.scalar_type());
      auto [hidden, mask] = amdim::product_relu(x, w1);
      auto sum = amdim::product(hidden, w2, x);
      saved.insert(saved.end(), {x, hidden, mask, w1, w2});
      x = sum;
    }
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(std::move(saved));
    return x;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    auto layers = saved.size() / 7;
    auto gradient = gradients[0].contiguous();
    variable_list out(1 + 2 * layers);
    for (auto layer = layers; layer-- > 0;) {
      const auto* of = &saved[5 * layer];
      const auto &x = of[0], &hidden = of[1], &mask = of[2], &w1 = of[3], &w2 = of[4];
      const auto* weights = &saved[5 * layers + 2 * layer];
      auto inner = amdim::product_where(gradient, w2.t(), {hidden, mask});
      out[2 + 2 * layer] = weight_gradient(weights[1], hidden, gradient);
      out[1 + 2 * layer] = weight_gradient(weights[0], x, inner);
      if (layer == layers - 1) {
        gradient = amdim::product(inner, w1.t(), gradient);  // others may hold the gradient that came in
      } else {
        amdim::add_product(gradient, inner, w1.t());
      }
    }
    out[0] = gradient;
    return out;
  }
};

// pool(x) + relu(convolution(x, w1)) · w2 of images x (n, c, h, w), where the average pool has the window and the
// stride of the convolution. It counts as zero in channels that x does not have, and has none that the result does not
// have.
struct Reshaping : torch::autograd::Function<Reshaping> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight1, const at::Tensor& weight2,
                            int64_t stride) {
    WithoutAutocast guard;
    auto w1 = weight1.to(x.scalar_type()), w2 = matrix(weight2, x.scalar_type());
    auto width = w1.size(2);
    auto hidden = convolution_relu(x, w1, std::nullopt, stride);
    auto pooled = width == 1 && stride == 1 ? x : at::avg_pool2d(x, {width, width}, {stride, stride});
    auto shared = std::min(pooled.size(1), w2.size(1));
    auto sum = amdim::product_over(rows(hidden), w2, rows(pooled).narrow(1, 0, shared));
    context->save_for_backward({x, hidden, w1, w2, weight1, weight2});
    context->saved_data["stride"] = stride;
    return images_of(sum, hidden);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &hidden = saved[1], &w1 = saved[2], &w2 = saved[3], &weight1 = saved[4], &weight2 = saved[5];
    auto stride = context->saved_data["stride"].toInt(), width = w1.size(2);
    auto gradient = rows(gradients[0]), activated = rows(hidden);
    auto inner = amdim::product_where(gradient, w2.t(), {activated, {}});
    bool needs_x = context->needs_input_grad(0);
    auto [of_x, of_w1, none] = convolution_gradients(images_of(inner, hidden), x, w1, stride, needs_x, false);
    if (needs_x) {
      auto more = x.size(1) - gradients[0].size(1);
      auto through = more > 0 ? at::constant_pad_nd(gradients[0], {0, 0, 0, 0, 0, more}) : gradients[0].narrow(1, 0, x.size(1));
      of_x.add_(width == 1 && stride == 1
                    ? through
                    : at::avg_pool2d_backward(through, x, {width, width}, {stride, stride}, 0, false, true, std::nullopt));
    }
    return {of_x, of_w1.to(weight1.scalar_type()), weight_gradient(weight2, activated, gradient), at::Tensor()};
  }
};

// relu(convolution + bias) of images, without padding.
struct ConvolutionRelu : torch::autograd::Function<ConvolutionRelu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            int64_t stride) {
    WithoutAutocast guard;
    auto w = weight.to(x.scalar_type());
    auto result = convolution_relu(x, w, bias.to(x.scalar_type()), stride);
    context->save_for_backward({x, result, w, weight, bias});
    context->saved_data["stride"] = stride;
    return result;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &result = saved[1], &w = saved[2], &weight = saved[3], &bias = saved[4];
    auto stride = context->saved_data["stride"].toInt();
    auto [of_x, of_w, of_bias] = convolution_gradients(masked(gradients[0], result), x, w, stride,
                                                       context->needs_input_grad(0), true);
    return {of_x, of_w.to(weight.scalar_type()), of_bias.to(bias.scalar_type()), at::Tensor()};
  }
};

// relu(x · w1) · w2 + x · shortcut + bias of pixels x (m, in).
struct Head : torch::autograd::Function<Head> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight1, const at::Tensor& weight2,
                            const at::Tensor& weight3, const at::Tensor& bias) {
    WithoutAutocast guard;
    auto type = x.scalar_type();
    auto w1 = matrix(weight1, type), w2 = matrix(weight2, type), shortcut = matrix(weight3, type);
    auto [hidden, mask] = amdim::product_relu(x, w1);
    auto sum = at::addmm(bias.to(type), x, shortcut);
    amdim::add_product(sum, hidden, w2);
    context->save_for_backward({x, hidden, mask, w1, w2, shortcut, weight1, weight2, weight3, bias});
    return sum;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &hidden = saved[1], &mask = saved[2], &w1 = saved[3], &w2 = saved[4], &shortcut = saved[5];
    auto gradient = gradients[0].contiguous();
    auto inner = amdim::product_where(gradient, w2.t(), {hidden, mask});
    auto of_x = amdim::product(gradient, shortcut.t());
    amdim::add_product(of_x, inner, w1.t());
    return {of_x, weight_gradient(saved[6], x, inner), weight_gradient(saved[7], hidden, gradient),
            weight_gradient(saved[8], x, gradient), gradient.sum(0, false, saved[9].scalar_type())};
  }
};

// A 1×1 convolution of images, and the images themselves for other layers, whose gradient is added by the product
// that makes the convolution's.
struct Pointwise : torch::autograd::Function<Pointwise> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    WithoutAutocast guard;
    auto w = matrix(weight, x.scalar_type());
    context->save_for_backward({x, w, weight});
    context->set_materialize_grads(false);
    return {images_of(amdim::product(rows(x), w), x), x};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &w = saved[1], &weight = saved[2];
    const auto &of_result = gradients[0], &of_others = gradients[1];
    if (!of_result.defined()) return {of_others, at::Tensor()};
    auto gradient = rows(of_result), added = of_others.defined() ? rows(of_others) : at::Tensor();
    auto of_weight = weight_gradient(weight, rows(x), gradient);
    if (!context->needs_input_grad(0)) return {at::Tensor(), of_weight};
    return {images_of(amdim::product(gradient, w.t(), added), x), of_weight};
  }
};

// The type in which a layer computes: that of autocast, where a scope is open.
at::Tensor cast(const at::Tensor& tensor) {
  auto device = tensor.device().type();
  if (!at::autocast::is_autocast_enabled(device)) return tensor;
  return at::autocast::cached_cast(at::autocast::get_autocast_dtype(device), tensor, device);
}

}  // namespace

extern "C" {

void amdim_fuse_convolutions(int on) { has_fused_convolutions = on; }

// See the functions above of these names.

int amdim_chain(at::Tensor* x, at::Tensor* const* weights, size_t count, at::Tensor** out) {
  return amdim_guarded([&] {
    variable_list list;
    for (size_t i = 0; i < count; ++i) list.push_back(*weights[i]);
    *out = new at::Tensor(Chain::apply(cast(*x), at::TensorList(list)));
  });
}

int amdim_reshaping(at::Tensor* x, at::Tensor* w1, at::Tensor* w2, int64_t stride, at::Tensor** out) {
  return amdim_guarded([&] { *out = new at::Tensor(Reshaping::apply(cast(*x), *w1, *w2, stride)); });
}

int amdim_convolution_relu(at::Tensor* x, at::Tensor* weight, at::Tensor* bias, int64_t stride, at::Tensor** out) {
  return amdim_guarded([&] { *out = new at::Tensor(ConvolutionRelu::apply(cast(*x), *weight, *bias, stride)); });
}

int amdim_head(at::Tensor* x, at::Tensor* w1, at::Tensor* w2, at::Tensor* shortcut, at::Tensor* bias, at::Tensor** out) {
  return amdim_guarded([&] { *out = new at::Tensor(Head::apply(cast(*x), *w1, *w2, *shortcut, *bias)); });
}

int amdim_pointwise(at::Tensor* x, at::Tensor* weight, at::Tensor** out, at::Tensor** x_for_others) {
  return amdim_guarded([&] {
    auto made = Pointwise::apply(cast(*x), *weight);
    *out = new at::Tensor(made[0]);
    *x_for_others = new at::Tensor(made[1]);
  });
}
}
