# LayerNorm over the last dimension, in the dtype of the weights.
#   weight, bias [width]: parameters; eps: float.

def forward(self, x: Tensor) -> Tensor:
    return torch.layer_norm(x, [x.size(-1)], self.weight, self.bias, self.eps)
