# GemmaMLP: gated MLP with GELU (tanh form).
#   gate_proj, up_proj, down_proj: LinearWithoutBias.

def forward(self, x: Tensor) -> Tensor:
    gate = torch.gelu(self.gate_proj.forward(x), approximate="tanh")
    return self.down_proj.forward(gate * self.up_proj.forward(x))
