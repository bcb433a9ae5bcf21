#include "kernels/cpu/attention_run.h"
#include "kernels/cpu/attention_vector_avx2.h"
#include "kernels/cpu/avx2/functions.h"

namespace vlaserve::kernels::avx2 {

void RunAttention(const Attention& problem, int64_t begin, int64_t end) {
  RunAttentionWith<AttentionVector>(problem, begin, end);
}

}  // namespace vlaserve::kernels::avx2
