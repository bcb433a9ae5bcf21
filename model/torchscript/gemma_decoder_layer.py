# GemmaDecoderLayer: one pre-norm transformer block of the LLM, and of π0's action expert.
#   self_attn: GemmaAttention; mlp: GemmaMLP;
#   input_layernorm, post_attention_layernorm: GemmaRMSNorm.
#
# Arguments as in GemmaAttention.

# First part: keys and values into the buffers. Returns the normalised x that finish() needs.
def write(self, x: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor,
          first_row: int) -> Tensor:
    normed = self.input_layernorm.forward(x)
    self.self_attn.write(normed, cos, sin, keys, values, first_row)
    return normed

# Second part: the rest of the block.
def finish(self, x: Tensor, normed: Tensor, cos: Tensor, sin: Tensor, keys: Tensor,
           values: Tensor, first_row: int, attention_bias: Optional[Tensor]) -> Tensor:
    x = x + self.self_attn.forward(normed, cos, sin, keys, values, first_row, attention_bias)
    return x + self.mlp.forward(self.post_attention_layernorm.forward(x))

def forward(self, x: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor,
            first_row: int, attention_bias: Optional[Tensor]) -> Tensor:
    normed = self.write(x, cos, sin, keys, values, first_row)
    return self.finish(x, normed, cos, sin, keys, values, first_row, attention_bias)
