# GemmaAdaptiveModel: the stack of blocks of π0.5's action expert.
#   layers: ModuleList of GemmaAdaptiveDecoderLayer; norm: GemmaAdaptiveRMSNorm.

# The dtype of the stack's linears, in which the hidden states travel.
def dtype(self) -> int:
    return getattr(self.layers, "0").self_attn.q_proj.weight.dtype

# All modulations of a time condition float32 [N, width], in the order of use:
# float32 [N, 2 depth + 1, 3 width].
def modulation(self, condition: Tensor) -> Tensor:
    rows: List[Tensor] = []
    #for LAYER in DEPTH
    rows.append(getattr(self.layers, "LAYER").input_layernorm.dense.forward(condition))
    rows.append(getattr(self.layers, "LAYER").post_attention_layernorm.dense.forward(condition))
    #end
    rows.append(self.norm.dense.forward(condition))
    return torch.stack(rows, 1)

# x [B, S, width] -> the same shape after the final norm. rows: what modulation() gives,
# [B, 2 depth + 1, 3 width]. keys, values: one buffer per block. Other arguments as in
# GemmaAttention.
def forward(self, x: Tensor, rows: Tensor, cos: Tensor, sin: Tensor, keys: List[Tensor],
            values: List[Tensor], first_row: int, attention_bias: Optional[Tensor]) -> Tensor:
    #for LAYER in DEPTH
    x = getattr(self.layers, "LAYER").forward(
        x, rows.select(1, 2 * LAYER), rows.select(1, 2 * LAYER + 1), cos, sin, keys[LAYER],
        values[LAYER], first_row, attention_bias)
    #end
    return self.norm.forward(x, rows.select(1, 2 * DEPTH))[0]
