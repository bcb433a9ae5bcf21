#include "kernels/cpu/attention_run.h"
#include "kernels/cpu/attention_vector_portable.h"
#include "kernels/cpu/portable/functions.h"

namespace vlaserve::kernels::portable {

void RunAttention(const Attention& problem, int64_t begin, int64_t end) {
  RunAttentionWith<AttentionVector>(problem, begin, end);
}

}  // namespace vlaserve::kernels::portable
