# SiglipAttention: all-to-all attention of patch tokens.
#   k_proj, v_proj, q_proj, out_proj: Linear; num_heads: int.

# [N, T, width] -> [N, num_heads, T, head size]
def split_heads(self, x: Tensor) -> Tensor:
    return x.view([x.size(0), x.size(1), self.num_heads, -1]).transpose(1, 2)

def forward(self, x: Tensor) -> Tensor:
    queries = self.split_heads(self.q_proj.forward(x))
    keys = self.split_heads(self.k_proj.forward(x))
    values = self.split_heads(self.v_proj.forward(x))
    mixed = torch.scaled_dot_product_attention(queries, keys, values)
    return self.out_proj.forward(mixed.transpose(1, 2).reshape(x.size()))
