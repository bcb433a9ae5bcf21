# GemmaRMSNorm: x / rms(x) · (1 + w), computed in float32, returned in the dtype of x.
#   weight [width]: parameter of any floating-point dtype; eps: float.

def forward(self, x: Tensor) -> Tensor:
    wide = x.to(FLOAT32)
    normed = wide * torch.rsqrt(torch.mean(wide * wide, [-1], True) + self.eps)
    return (normed * (1.0 + self.weight.to(FLOAT32))).to(x.dtype)
