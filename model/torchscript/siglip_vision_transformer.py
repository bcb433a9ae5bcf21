# SiglipVisionTransformer: pictures to patch features; no pooling.
#   embeddings: SiglipVisionEmbeddings; encoder: SiglipEncoder; post_layernorm: LayerNorm.

# pixels float32 [N, 3, S, S] -> [N, T, width]
def forward(self, pixels: Tensor) -> Tensor:
    return self.post_layernorm.forward(self.encoder.forward(self.embeddings.forward(pixels)))
