# GemmaAdaptiveDecoderLayer: one block of π0.5's action expert, with adaRMS norms and gated residual
# branches.
#   self_attn: GemmaAttention; mlp: GemmaMLP;
#   input_layernorm, post_attention_layernorm: GemmaAdaptiveRMSNorm.
#
# Arguments as in GemmaAttention. input_modulation, post_modulation: float32 [B, 3 width], what the
# dense layers of the two norms give.

def forward(self, x: Tensor, input_modulation: Tensor, post_modulation: Tensor, cos: Tensor,
            sin: Tensor, keys: Tensor, values: Tensor, first_row: int,
            attention_bias: Optional[Tensor]) -> Tensor:
    normed, gate = self.input_layernorm.forward(x, input_modulation)
    self.self_attn.write(normed, cos, sin, keys, values, first_row)
    mixed = self.self_attn.forward(normed, cos, sin, keys, values, first_row, attention_bias)
    x = x + mixed * gate
    normed, gate = self.post_attention_layernorm.forward(x, post_modulation)
    return x + self.mlp.forward(normed) * gate
