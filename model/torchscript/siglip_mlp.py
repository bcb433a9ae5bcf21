# SiglipMLP: two linears around GELU (tanh form).
#   fc1, fc2: Linear.

def forward(self, x: Tensor) -> Tensor:
    return self.fc2.forward(torch.gelu(self.fc1.forward(x), approximate="tanh"))
