# SiglipVisionEmbeddings: pictures to patch tokens, in float32.
#   patch_embedding: Float32Conv2d;
#   position_embedding: Embedding, one row per patch in row-major order.

# pixels float32 [N, 3, S, S] in [-1, 1] -> float32 [N, T, width]
def forward(self, pixels: Tensor) -> Tensor:
    patches = self.patch_embedding.forward(pixels.to(FLOAT32)).flatten(2).transpose(1, 2)
    return patches + self.position_embedding.weight.to(FLOAT32)
