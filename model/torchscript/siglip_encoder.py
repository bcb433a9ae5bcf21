# SiglipEncoder: the stack of blocks.
#   layers: ModuleList of SiglipEncoderLayer.

# float32 [N, T, width] -> the weights' dtype, same shape
def forward(self, x: Tensor) -> Tensor:
    x = x.to(getattr(self.layers, "0").self_attn.k_proj.weight.dtype)
    #for LAYER in VISION_DEPTH
    x = getattr(self.layers, "LAYER").forward(x)
    #end
    return x
