# GemmaAttention: attention with rotary positions over a buffer of keys and values.
#   q_proj, k_proj, v_proj, o_proj: LinearWithoutBias; head_dim: int.
#
# keys, values: buffers [B, KV heads, rows, head_dim]; the S tokens of x [B, S, width] stand at rows
# first_row, first_row + 1, …
# cos, sin: [B, 1, S, head_dim / 2] in the dtype of x.

# [B, S, heads · head_dim] -> [B, heads, S, head_dim]
def split_heads(self, x: Tensor) -> Tensor:
    return x.view([x.size(0), x.size(1), -1, self.head_dim]).transpose(1, 2)

# Rotary positions, rotate-half layout: element i of a head turns with element i + head_dim / 2.
def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    halves = x.chunk(2, 3)
    return torch.cat([halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin], 3)

# An empty buffer of `rows` rows for keys or values, in the dtype of x.
def new_buffer(self, x: Tensor, rows: int) -> Tensor:
    kv_heads = self.k_proj.weight.size(0) // self.head_dim
    return x.new_zeros([x.size(0), kv_heads, rows, self.head_dim])

# Writes the keys (after rotation) and values of x into the buffers.
def write(self, x: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor,
          first_row: int) -> None:
    new_keys = self.rotate(self.split_heads(self.k_proj.forward(x)), cos, sin)
    new_values = self.split_heads(self.v_proj.forward(x))
    keys.narrow(2, first_row, x.size(1)).copy_(new_keys)
    values.narrow(2, first_row, x.size(1)).copy_(new_values)

# Rows 0 … end - 1 of a buffer for `heads` query heads, consecutive ones of which share a KV head.
# No copy where there is one KV head.
def shared_rows(self, buffer: Tensor, end: int, heads: int) -> Tensor:
    rows = buffer.narrow(2, 0, end).unsqueeze(2)
    rows = rows.expand([-1, -1, heads // buffer.size(1), -1, -1])
    return rows.reshape([buffer.size(0), heads, end, self.head_dim])

# Attention of x over the buffers' rows 0 … first_row + S - 1, after write().
# attention_bias: [B, 1, S, first_row + S], added to the logits, or None.
def forward(self, x: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor,
            first_row: int, attention_bias: Optional[Tensor]) -> Tensor:
    queries = self.rotate(self.split_heads(self.q_proj.forward(x)), cos, sin)
    end = first_row + x.size(1)
    heads = queries.size(1)
    bias: Optional[Tensor] = None
    if attention_bias is not None:
        bias = attention_bias.to(queries.dtype)
    mixed = torch.scaled_dot_product_attention(
        queries, self.shared_rows(keys, end, heads), self.shared_rows(values, end, heads), bias)
    return self.o_proj.forward(mixed.transpose(1, 2).reshape([x.size(0), x.size(1), -1]))
