// Losses of scores, computed in blocks of rows that are not kept: the way back computes them again. Only a CPU keeps
// scores that are one block, since a product takes it longer than memory of that size is worth.

#include "shim.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// The rows of scores (of `columns` elements) that are in memory at a time: enough for products to be fast.
int64_t rows_of_block(const at::Tensor& like, int64_t columns) {
  const int64_t elements = int64_t{1} << (like.is_cpu() ? 23 : 24), least = 128;
  return std::max(least, elements / columns);
}

// Whether `rows` rows of scores are kept for the way back.
bool are_kept(const at::Tensor& like, int64_t rows, int64_t columns) {
  return like.is_cpu() && rows <= rows_of_block(like, columns);
}

// Calls `work` with the start and the length of each block of `rows` rows.
template <class Work>
void each_block(int64_t rows, int64_t length, Work&& work) {
  for (int64_t start = 0; start < rows; start += length) work(start, std::min(length, rows - start));
}

// f32 or f64: half precision is too coarse for sums of exponentials.
at::Tensor widened(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

// left · right · scale. The factors stay as they are: bf16 values are exact in TF32, which multiplies by 11 bits.
at::Tensor scaled_product(const at::Tensor& left, const at::Tensor& right, double scale) {
  auto out = at::empty({left.size(0), right.size(1)}, left.options());
  return out.addmm_(left, right, /*beta=*/0, scale);
}

// Adds left · right · scale to `sum`, or begins the sum.
void add_scaled(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right, double scale) {
  if (sum.defined()) {
    sum.addmm_(left, right, 1, scale);
  } else {
    sum = scaled_product(left, right, scale);
  }
}

// The sums that AMDIM's contrastive loss consists of; see `clipped_scores` in the Rust half.
struct ClippedScores : torch::autograd::Function<ClippedScores> {
  // A block of scores in units of the clip: raw ones, their hyperbolic tangents and the exponentials of the clipped
  // scores. Each row is a context, its columns are the locations of all images.
  struct Block {
    at::Tensor raw, tanh, exponentials;
    at::Tensor own;  // the exponentials of the own image's locations (rows with one, locations), to be written
    at::Tensor positives;
    int64_t own_start, own_rows;  // in which images these rows are

    // `start` is the image of the first row, counted from the first of the columns; it may be none of them.
    Block(at::Tensor scores, int64_t start, int64_t images, double clip) : raw(std::move(scores)), tanh(raw.tanh()) {
      // One pass on a GPU; on a CPU, powers take longer than a product and an exponential.
      exponentials = raw.is_cpu() ? (tanh * clip).exp_() : at::pow(at::Scalar(std::exp(clip)), tanh);
      own_start = std::clamp(start, int64_t{0}, images);
      own_rows = std::clamp(start + raw.size(0), int64_t{0}, images) - own_start;
      if (own_rows == 0) return;
      auto own_of = [&](const at::Tensor& of) {
        auto rows = of.view({of.size(0), images, -1}).narrow(0, own_start - start, own_rows);
        return rows.narrow(1, own_start, own_rows).diagonal(0, 0, 1).t();
      };
      own = own_of(exponentials);
      positives = own_of(tanh) * clip;
    }
  };

  static variable_list forward(AutogradContext* context, const at::Tensor& contexts, const at::Tensor& targets, double clip,
                               int64_t first) {
    auto m = contexts.size(0), n = targets.size(0), locations = targets.size(2);
    auto wide = widened(contexts), columns = rows_of(targets);
    std::vector<at::Tensor> sums, positives, squares;
    at::Tensor kept;
    each_block(m, rows_of_block(wide, n * locations), [&](int64_t start, int64_t rows) {
      Block block(scaled_product(wide.narrow(0, start, rows), columns.t(), scale_of(contexts, clip)), start - first, n, clip);
      if (are_kept(wide, m, n * locations)) kept = block.raw;
      if (block.own_rows > 0) {
        block.own.zero_();
        positives.push_back(block.positives);
      }
      sums.push_back(block.exponentials.sum(1));
      squares.push_back(at::linalg_vector_norm(block.raw).square());
    });
    context->save_for_backward({contexts, targets, kept});
    context->saved_data["clip"] = clip;
    context->saved_data["first"] = first;
    return {joined(sums), joined(positives), total(squares) * (clip * clip)};
  }

  // The slope of a raw score, in units of the clip, is clip · (1 − tanh²) times that of the clipped score: E · ρ, where E
  // is its exponential and ρ the gradient of the row's sum; or the positive's. To that the square adds 2 · raw · clip²
  // times its gradient. Rows are divided by clip · ρ, so that one pass adds the second.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &contexts = saved[0], &targets = saved[1], &kept = saved[2];
    auto clip = context->saved_data["clip"].toDouble();
    auto first = context->saved_data["first"].toInt();
    auto m = contexts.size(0), n = targets.size(0), locations = targets.size(2);
    auto wide = widened(contexts), columns = rows_of(targets);
    auto scale = scale_of(contexts, clip);
    auto of_sums = or_zeros(gradients[0], {m}, wide), of_positives = or_zeros(gradients[1], {n, locations}, wide);
    of_sums = at::where(of_sums.eq(0), at::full_like(of_sums, LEAST), of_sums).unsqueeze(1);
    auto of_squares = or_zeros(gradients[2], {}, wide) * (2 * clip * clip);
    std::vector<at::Tensor> of_contexts;
    at::Tensor of_columns;
    each_block(m, rows_of_block(wide, n * locations), [&](int64_t start, int64_t rows) {
      auto block_contexts = wide.narrow(0, start, rows), of_rows = of_sums.narrow(0, start, rows);
      Block block(kept.defined() ? kept : scaled_product(block_contexts, columns.t(), scale), start - first, n, clip);
      if (block.own_rows > 0) {
        auto of_own = of_sums.narrow(0, block.own_start + first, block.own_rows);
        block.own.copy_(of_positives.narrow(0, block.own_start, block.own_rows) / of_own);
      }
      auto& slope = at::tanh_backward_out(block.exponentials, block.exponentials, block.tanh);
      auto factor = of_rows * clip;
      slope.addcmul_(block.raw, of_squares / factor);
      of_contexts.push_back(scaled_product(slope, columns, scale).mul_(factor));
      add_scaled(of_columns, slope.t(), block_contexts * factor, scale);
    });
    auto of_targets = of_columns.view({n, locations, -1}).to(targets.scalar_type()).permute({0, 2, 1});
    return {joined(of_contexts).to(contexts.scalar_type()), of_targets, at::Tensor(), at::Tensor()};
  }

  // A gradient of a sum of zero is taken for this, so that rows can be divided by it.
  static constexpr double LEAST = 1e-25;

  // What makes inner products raw scores in units of the clip.
  static double scale_of(const at::Tensor& contexts, double clip) {
    return 1 / (clip * std::sqrt(static_cast<double>(contexts.size(1))));
  }

  static at::Tensor or_zeros(const at::Tensor& gradient, at::IntArrayRef sizes, const at::Tensor& like) {
    return gradient.defined() ? gradient : at::zeros(sizes, like.options());
  }

  static at::Tensor joined(const std::vector<at::Tensor>& blocks) { return blocks.size() == 1 ? blocks[0] : at::cat(blocks); }

  static at::Tensor total(const std::vector<at::Tensor>& blocks) {
    return blocks.size() == 1 ? blocks[0] : at::stack(blocks).sum();
  }

  // The locations (n·l, d) of targets (n, d, l); nothing is copied where the channels lie side by side.
  static at::Tensor rows_of(const at::Tensor& targets) {
    return widened(targets).permute({0, 2, 1}).reshape({-1, targets.size(1)});
  }
};

// The logarithm of the sum of exponentials of scores; see `log_sum_exp` in the Rust half.
struct LogSumExp : torch::autograd::Function<LogSumExp> {
  static variable_list forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys, double scale,
                               const at::Tensor& excluded, bool with_largest) {
    auto wide = widened(queries), columns = widened(keys);
    auto witness = first_included(excluded);
    std::vector<at::Tensor> sums, largest;
    at::Tensor kept;
    each_block(wide.size(0), rows_of_block(wide, columns.size(0)), [&](int64_t start, int64_t rows) {
      auto scores = scores_of(wide, columns, scale, excluded, start, rows);
      if (are_kept(wide, wide.size(0), columns.size(0))) kept = scores;
      auto at = witness.narrow(0, start, rows);
      auto of_witness = scores.gather(1, at);
      if (with_largest) largest.push_back(scores.amax(1));
      sums.push_back((of_witness - at::_log_softmax(scores, 1, false).gather(1, at)).squeeze(1));
    });
    auto result = at::cat(sums);
    context->save_for_backward({queries, keys, excluded, result, kept});
    context->saved_data["scale"] = scale;
    auto found = with_largest ? at::cat(largest) : at::empty({0}, result.options());
    context->mark_non_differentiable({found});
    return {result, found};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &queries = saved[0], &keys = saved[1], &excluded = saved[2], &result = saved[3], &kept = saved[4];
    auto scale = context->saved_data["scale"].toDouble();
    auto wide = widened(queries), columns = widened(keys), along = gradients[0].unsqueeze(1);
    bool needs_queries = context->needs_input_grad(0), needs_keys = context->needs_input_grad(1);
    std::vector<at::Tensor> of_queries;
    at::Tensor of_keys;
    each_block(wide.size(0), rows_of_block(wide, columns.size(0)), [&](int64_t start, int64_t rows) {
      auto scores = kept.defined() ? kept : scores_of(wide, columns, scale, excluded, start, rows);
      auto share = (scores - result.narrow(0, start, rows).unsqueeze(1)).exp_();
      auto block_along = along.narrow(0, start, rows);
      if (needs_queries) of_queries.push_back(scaled_product(share, columns, scale).mul_(block_along));
      if (needs_keys) add_scaled(of_keys, share.t(), wide.narrow(0, start, rows) * block_along, scale);
    });
    return {needs_queries ? at::cat(of_queries).to(queries.scalar_type()) : at::Tensor(),
            needs_keys ? of_keys.to(keys.scalar_type()) : at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }

  static at::Tensor scores_of(const at::Tensor& queries, const at::Tensor& keys, double scale, const at::Tensor& excluded,
                              int64_t start, int64_t rows) {
    auto scores = scaled_product(queries.narrow(0, start, rows), keys.t(), scale);
    if (excluded.size(1) > 0) scores.scatter_(1, excluded.narrow(0, start, rows), -INFINITY);
    return scores;
  }

  // The first column (m, 1) that each row does not exclude.
  static at::Tensor first_included(const at::Tensor& excluded) {
    auto found = at::zeros({excluded.size(0), 1}, excluded.options());
    for (int64_t i = 0; i < excluded.size(1); ++i) found += excluded.eq(found).any(1, true).to(found.scalar_type());
    return found;
  }
};

}  // namespace

extern "C" {

int amdim_clipped_scores(at::Tensor* contexts, at::Tensor* targets, double clip, int64_t first, at::Tensor** out) {
  return amdim_guarded([&] {
    auto results = ClippedScores::apply(*contexts, *targets, clip, first);
    for (size_t i = 0; i < 3; ++i) out[i] = new at::Tensor(results[i]);
  });
}

// `largest` is not written if it is null.
int amdim_log_sum_exp(at::Tensor* queries, at::Tensor* keys, double scale, at::Tensor* excluded, at::Tensor** sums,
                      at::Tensor** largest) {
  return amdim_guarded([&] {
    auto results = LogSumExp::apply(*queries, *keys, scale, *excluded, largest != nullptr);
    *sums = new at::Tensor(results[0]);
    if (largest) *largest = new at::Tensor(results[1]);
  });
}
}
