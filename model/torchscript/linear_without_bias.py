# LinearWithoutBias: y = x Wᵀ in the dtype of the weight.
#   weight [out, in]: parameter, whose dtype x must have.

def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight, None)
