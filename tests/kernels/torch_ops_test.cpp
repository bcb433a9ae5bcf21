#include "kernels/torch_ops.h"

#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::kFloat).to(dtype);
}

// LibTorch's operator in float32, in our layout.
at::Tensor Expected(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                    const OptionalTensor& bias) {
  const int64_t group = query.size(1) / keys.size(1);
  OptionalTensor mask = bias;
  if (mask && mask->scalar_type() != at::kBool) mask = mask->to(at::kFloat);
  const at::Tensor mixed = at::scaled_dot_product_attention(
      query.to(at::kFloat), keys.to(at::kFloat).repeat_interleave(group, 1),
      values.to(at::kFloat).repeat_interleave(group, 1), mask);
  return mixed.transpose(1, 2).reshape({query.size(0), query.size(2), -1});
}

void Check(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
           const OptionalTensor& bias = std::nullopt) {
  INFO(query.sizes() << ", " << keys.sizes() << ", " << query.scalar_type());
  const at::Tensor out = Attention(query, keys, values, bias);
  const at::Tensor expected = Expected(query, keys, values, bias);
  CHECK(out.scalar_type() == query.scalar_type());
  CHECK(out.is_contiguous());
  REQUIRE(out.sizes() == expected.sizes());
  const at::Tensor wide = out.to(at::kFloat);
  CHECK(wide.isnan().equal(expected.isnan()));
  const double error = (wide - expected).abs().nan_to_num().max().item<double>();
  CHECK(error < (query.scalar_type() == at::kFloat ? 1e-5 : 2e-2));
}

std::string ErrorOf(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values,
                    const OptionalTensor& bias = std::nullopt) {
  try {
    Attention(query, keys, values, bias);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

}  // namespace

TEST_CASE("the attention operator is registered, without side effects") {
  const auto op = c10::Dispatcher::singleton().findSchema({AttentionSymbol().toQualString(), ""});
  REQUIRE(op.has_value());
  CHECK(!op->schema().is_mutable());
}

TEST_CASE("the attention operator takes views") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor query = Normal({2, 7, 4, 24}, 1, dtype).transpose(1, 2);
    const at::Tensor keys = Normal({2, 2, 40, 24}, 2, dtype).narrow(2, 0, 31);
    const at::Tensor values = Normal({2, 2, 40, 24}, 3, dtype).narrow(2, 0, 31);
    Check(query, keys, values);
    Check(query, keys.narrow(1, 1, 1), values.narrow(1, 0, 1));
    Check(query, keys.narrow(0, 1, 1).expand({2, 2, 31, 24}), values);
    // Elements of a row that are not beside each other.
    Check(query, Normal({2, 2, 24, 31}, 4, dtype).transpose(2, 3), values);
    Check(Normal({2, 4, 7, 1}, 5, dtype), Normal({2, 2, 31, 1}, 6, dtype),
          Normal({2, 2, 31, 1}, 7, dtype));
  }
}

TEST_CASE("the attention operator takes biases as LibTorch's does") {
  const at::Tensor query = Normal({2, 4, 5, 16}, 1);
  const at::Tensor keys = Normal({2, 1, 20, 16}, 2);
  const at::Tensor values = Normal({2, 1, 20, 16}, 3);
  const std::vector<std::vector<int64_t>> shapes = {{2, 1, 5, 20}, {1, 1, 5, 20}, {2, 1, 1, 20},
                                                    {2, 4, 5, 20}, {5, 20},       {2, 1, 5, 1}};
  for (const std::vector<int64_t>& shape : shapes) {
    const at::Tensor bias = Normal(shape, 4);
    Check(query, keys, values, bias);
    Check(query.to(at::kBFloat16), keys.to(at::kBFloat16), values.to(at::kBFloat16),
          bias.to(at::kBFloat16));
    Check(query, keys, values, bias > -1);
  }
}

TEST_CASE("the attention operator gives the same bits for any number of threads") {
  const at::Tensor query = Normal({1, 8, 30, 64}, 1);
  const at::Tensor keys = Normal({1, 1, 150, 64}, 2);
  const at::Tensor values = Normal({1, 1, 150, 64}, 3);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = Attention(query, keys, values, std::nullopt);
  for (const int count : {2, 3, 5}) {
    at::set_num_threads(count);
    CHECK(Attention(query, keys, values, std::nullopt).equal(one));
  }
  at::set_num_threads(threads);
}

TEST_CASE("the attention operator: nothing to compute") {
  const at::Tensor keys = Normal({1, 1, 3, 8}, 1);
  CHECK(Attention(Normal({1, 2, 0, 8}, 2), keys, keys, std::nullopt).sizes() ==
        at::IntArrayRef({1, 0, 16}));
}

TEST_CASE("the attention operator refuses what it cannot take") {
  const at::Tensor query = Normal({2, 4, 5, 16}, 1);
  const at::Tensor keys = Normal({2, 2, 20, 16}, 2);
  CHECK_THAT(ErrorOf(query.to(at::kDouble), keys, keys), ContainsText("query is Double"));
  CHECK_THAT(ErrorOf(query, keys.to(at::kBFloat16), keys), ContainsText("keys is BFloat16"));
  CHECK_THAT(ErrorOf(query, keys, keys.to(at::kHalf)), ContainsText("values is Half"));
  CHECK_THAT(ErrorOf(query.select(0, 0), keys, keys), ContainsText("query has 3 dimensions"));
  CHECK_THAT(ErrorOf(query, keys.narrow(3, 0, 8), keys), ContainsText("keys is [2, 2, 20, 8]"));
  CHECK_THAT(ErrorOf(query, keys, keys.narrow(2, 0, 8)), ContainsText("values [2, 2, 8, 16]"));
  CHECK_THAT(ErrorOf(query.narrow(1, 0, 3), keys, keys), ContainsText("3 query heads for 2"));
  CHECK_THAT(ErrorOf(query, keys.narrow(2, 0, 0), keys.narrow(2, 0, 0)), ContainsText("no keys"));
  CHECK_THAT(ErrorOf(query.to(at::kMeta), keys, keys), ContainsText("query is on meta"));
  CHECK_THAT(ErrorOf(query, keys, keys, Normal({5, 20}, 3).to(at::kDouble)),
             ContainsText("bias is Double"));
  CHECK_THAT(ErrorOf(query, keys, keys, Normal({5, 19}, 3)), ContainsText("must match"));
}

}  // namespace vlaserve
