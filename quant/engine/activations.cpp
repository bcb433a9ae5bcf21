#include "quant/engine/activations.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "quant/engine/float_linear.h"

namespace vlaserve {
namespace {

// Rows of one task: enough work to be worth a thread.
int64_t RowsPerTask(int64_t columns) {
  constexpr int64_t kElements = 32768;
  return std::max<int64_t>(1, kElements / std::max<int64_t>(1, columns));
}

}  // namespace

ActivationTransform::ActivationTransform(const PackedLayer& pack) : pack_(pack) {
  for (const float smooth : pack.smooth) inverse_smooth_.push_back(1.0F / smooth);
}

void ActivationTransform::ApplyToRows(const float* in, float* out, int64_t rows) const {
  const int64_t columns = pack_.in_features;
  const auto size = static_cast<size_t>(rows * columns);
  std::copy(in, in + size, out);
  // What a step that cannot work in place reads.
  std::vector<float> before;
  const auto keep = [&] {
    before.assign(out, out + size);
    return before.data();
  };
  if (!inverse_smooth_.empty()) ScaleColumns(out, rows, columns, inverse_smooth_);
  if (!pack_.permutation.empty()) {
    PermuteColumns(keep(), out, rows, columns, pack_.permutation);
  }
  if (pack_.rotate_in == RotateIn::kHadamard) {
    HadamardRows(out, rows, columns, pack_.block);
  } else if (pack_.rotate_in != RotateIn::kOff) {
    RotateRows(keep(), out, rows, columns, pack_.block, pack_.rotations,
               pack_.rotate_in == RotateIn::kDuquantGreedy);
  }
}

at::Tensor ActivationTransform::Apply(const at::Tensor& x) const {
  const int64_t columns = pack_.in_features;
  TORCH_CHECK(x.dim() > 0 && x.size(-1) == columns, "expected ", columns, " input features, found ",
              x.dim() > 0 ? x.size(-1) : 0);
  at::Tensor rows = FloatRows(x);
  if (inverse_smooth_.empty() && pack_.permutation.empty() && pack_.rotate_in == RotateIn::kOff) {
    return rows;
  }
  at::Tensor out = at::empty(rows.sizes(), rows.options());
  const float* in = rows.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, rows.size(0), RowsPerTask(columns), [&](int64_t begin, int64_t end) {
    ApplyToRows(in + begin * columns, to + begin * columns, end - begin);
  });
  return out;
}

void ActivationTransform::RestoreOutput(const at::Tensor& y) const {
  const int64_t columns = pack_.out_features;
  float* data = y.mutable_data_ptr<float>();
  at::parallel_for(0, y.size(0), RowsPerTask(columns), [&](int64_t begin, int64_t end) {
    float* rows = data + begin * columns;
    const std::vector<float> before(rows, rows + (end - begin) * columns);
    RotateRows(before.data(), rows, end - begin, columns, pack_.block_out, pack_.output_rotations,
               /*shared=*/false);
  });
}

IntActivations QuantizeRows(const at::Tensor& rows, const ActivationSettings& settings,
                            const std::string& layer) {
  IntActivations result;
  result.rows = rows.size(0);
  result.columns = rows.size(1);
  result.group = settings.mode == ActivationMode::kDynamicTokenGroup ? settings.group : 0;
  const int64_t groups = GroupCount(result.columns, result.group);
  result.codes.resize(static_cast<size_t>(result.rows * result.columns));
  result.scales.resize(static_cast<size_t>(result.rows * groups));

  const float* data = rows.const_data_ptr<float>();
  std::atomic<int64_t> bad_row = result.rows;
  at::parallel_for(0, result.rows, RowsPerTask(result.columns), [&](int64_t begin, int64_t end) {
    const std::optional<int64_t> bad = QuantizeActivations(
        data + begin * result.columns, end - begin, result.columns, settings.bits, result.group,
        result.codes.data() + begin * result.columns, result.scales.data() + begin * groups);
    if (!bad) return;
    int64_t first = bad_row.load();
    while (begin + *bad < first && !bad_row.compare_exchange_weak(first, begin + *bad)) {
    }
  });
  TORCH_CHECK(bad_row == result.rows, layer, ": input row ", bad_row.load(), " holds NaN or Inf");
  return result;
}

at::Tensor WideBias(const at::Tensor& bias) {
  return bias.defined() ? bias.to(at::kFloat).contiguous() : at::Tensor();
}

}  // namespace vlaserve
