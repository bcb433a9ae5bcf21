# SiglipEncoderLayer: one pre-norm transformer block.
#   layer_norm1, layer_norm2: LayerNorm; self_attn: SiglipAttention; mlp: SiglipMLP.

def forward(self, x: Tensor) -> Tensor:
    x = x + self.self_attn.forward(self.layer_norm1.forward(x))
    return x + self.mlp.forward(self.layer_norm2.forward(x))
