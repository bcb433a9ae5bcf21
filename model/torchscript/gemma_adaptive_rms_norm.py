# GemmaAdaptiveRMSNorm (adaRMS): x / rms(x) · (1 + scale) + shift, where scale, shift and the gate
# of the residual branch depend on the flow time.
#   dense: Float32Linear from the time condition to 3 · width; eps: float.

# modulation float32 [B, 3 width] = dense(condition): scale, shift, gate in this order.
# Returns the normalised x and the gate [B, 1, width], both in the dtype of x.
def forward(self, x: Tensor, modulation: Tensor) -> Tuple[Tensor, Tensor]:
    parts = modulation.unsqueeze(1).chunk(3, 2)
    wide = x.to(FLOAT32)
    normed = wide * torch.rsqrt(torch.mean(wide * wide, [-1], True) + self.eps)
    return (normed * (1.0 + parts[0]) + parts[1]).to(x.dtype), parts[2].to(x.dtype)
