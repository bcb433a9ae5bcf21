#include "kernels/cpu/attention_run.h"
#include "kernels/cpu/attention_vector_avx512.h"
#include "kernels/cpu/avx512_vnni/functions.h"

namespace vlaserve::kernels::avx512_vnni {

void RunAttention(const Attention& problem, int64_t begin, int64_t end) {
  RunAttentionWith<AttentionVector>(problem, begin, end);
}

}  // namespace vlaserve::kernels::avx512_vnni
