# Linear: y = x Wᵀ + b in the dtype of the weights.
#   weight [out, in], bias [out]: parameters of one dtype, which x must have.

def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight, self.bias)
