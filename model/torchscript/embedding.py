# Embedding: a table of rows.
#   weight [rows, width]: parameter.

def forward(self, ids: Tensor) -> Tensor:
    return torch.embedding(self.weight, ids)
