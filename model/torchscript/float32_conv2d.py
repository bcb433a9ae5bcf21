# Float32Conv2d: the patch embedding; non-overlapping patches, always computed in float32.
#   weight [out, in, patch, patch], bias [out]: parameters of any floating-point dtype.

def forward(self, pixels: Tensor) -> Tensor:
    stride = [self.weight.size(2), self.weight.size(3)]
    return torch.conv2d(pixels, self.weight.to(FLOAT32), self.bias.to(FLOAT32), stride)
