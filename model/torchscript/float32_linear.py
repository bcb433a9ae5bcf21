# Float32Linear: a Linear that the reference always computes in float32 (top-level projections,
# adaRMS dense layers).
#   weight [out, in], bias [out]: parameters of any floating-point dtype.

def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight.to(FLOAT32), self.bias.to(FLOAT32))
