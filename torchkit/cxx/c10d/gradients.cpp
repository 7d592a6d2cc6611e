// Collectives through which gradients flow.

#include "group.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

using Group = c10::intrusive_ptr<amdim_group>;

void keep(AutogradContext* context, const Group& group) {
  context->saved_data["group"] = c10::IValue::make_capsule(group);
}

Group kept(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<amdim_group>(context->saved_data["group"].toCapsule());
}

at::Tensor sum(const Group& group, const at::Tensor& values) {
  auto result = values.clone(at::MemoryFormat::Contiguous);
  group->all_reduce(result, c10d::ReduceOp::SUM);
  return result;
}

struct Gather : Function<Gather> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& own, const Group& group) {
    keep(context, group);
    return group->all_gather(own);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {kept(context)->reduce_scatter(gradients[0]), at::Tensor()};
  }
};

struct GatherOwn : Function<GatherOwn> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& own, const Group& group) {
    keep(context, group);
    return group->all_gather(own);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto group = kept(context);
    auto n = gradients[0].size(0) / group->size();
    return {gradients[0].narrow(0, group->rank() * n, n) * group->size(), at::Tensor()};
  }
};

struct SumScattered : Function<SumScattered> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& all, const Group& group) {
    keep(context, group);
    return group->reduce_scatter(all);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {kept(context)->all_gather(gradients[0]), at::Tensor()};
  }
};

struct Sum : Function<Sum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values, const Group& group) {
    keep(context, group);
    return sum(group, values);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {sum(kept(context), gradients[0]), at::Tensor()};
  }
};

template <class Collective>
int apply(amdim_group* group, at::Tensor* input, at::Tensor** out) {
  return amdim_guarded([&] { *out = new at::Tensor(Collective::apply(*input, amdim_shared(group))); });
}

}  // namespace

extern "C" {

int amdim_gather_with_gradient(amdim_group* group, at::Tensor* own, at::Tensor** out) {
  return apply<Gather>(group, own, out);
}

int amdim_gather_own_gradient(amdim_group* group, at::Tensor* own, at::Tensor** out) {
  return apply<GatherOwn>(group, own, out);
}

int amdim_sum_scattered_with_gradient(amdim_group* group, at::Tensor* all, at::Tensor** out) {
  return apply<SumScattered>(group, all, out);
}

int amdim_sum_with_gradient(amdim_group* group, at::Tensor* values, at::Tensor** out) {
  return apply<Sum>(group, values, out);
}
}
