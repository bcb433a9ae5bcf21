# PaliGemmaMultiModalProjector: patch features to the LLM's width; openpi does not scale them.
#   linear: Linear.

def forward(self, x: Tensor) -> Tensor:
    return self.linear.forward(x.to(self.linear.weight.dtype))
