# GemmaModel: the stack of blocks of the LLM, and of π0's action expert (GemmaExpertModel, which has
# no embed_tokens).
#   layers: ModuleList of GemmaDecoderLayer; norm: GemmaRMSNorm.

# The dtype of the stack's linears, in which the hidden states travel.
def dtype(self) -> int:
    return getattr(self.layers, "0").self_attn.q_proj.weight.dtype

# An empty buffer of `rows` rows for the keys or values of one block, in the dtype of x.
def new_buffer(self, x: Tensor, rows: int) -> Tensor:
    return getattr(self.layers, "0").self_attn.new_buffer(x, rows)

# x [B, S, width] -> the same shape after the final norm. keys, values: one buffer per block. Other
# arguments as in GemmaAttention.
# kv_only_last: the last block only writes its keys and values, and its input is returned.
def forward(self, x: Tensor, cos: Tensor, sin: Tensor, keys: List[Tensor], values: List[Tensor],
            first_row: int, attention_bias: Optional[Tensor], kv_only_last: bool) -> Tensor:
    #for LAYER in LAST
    x = getattr(self.layers, "LAYER").forward(
        x, cos, sin, keys[LAYER], values[LAYER], first_row, attention_bias)
    #end
    normed = getattr(self.layers, "LAST").write(x, cos, sin, keys[LAST], values[LAST], first_row)
    if not kv_only_last:
        x = getattr(self.layers, "LAST").finish(
            x, normed, cos, sin, keys[LAST], values[LAST], first_row, attention_bias)
        x = self.norm.forward(x)
    return x
