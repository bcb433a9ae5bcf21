# PI0Pytorch, the rest for π0.5: the suffix is the actions alone, the flow time modulates every norm
# of the expert.
#   time_mlp_in, time_mlp_out: Float32Linear.

# Who attends to whom in the suffix (as in pi0.py): everybody to everybody. int64 [S].
def suffix_order(self, horizon: int, device: Device) -> Tensor:
    return torch.zeros([horizon], dtype=INT64, device=device)

# What denoise_step takes for its state: π0.5 sees the state in the prompt or not at all.
def suffix_state(self, state: Tensor) -> Optional[Tensor]:
    return None

# The time condition of all adaRMS layers, float32 [N, E].
def time_condition(self, times: Tensor) -> Tensor:
    hidden = torch.silu(self.time_mlp_in.forward(self.time_embedding(times)))
    return torch.silu(self.time_mlp_out.forward(hidden))

def step_condition(self, times: Tensor) -> Tensor:
    return self.paligemma_with_expert.gemma_expert.model.modulation(self.time_condition(times))

def embed_suffix(self, x: Tensor, time: Tensor, condition: Optional[Tensor],
                 state: Optional[Tensor]) -> Tensor:
    return self.action_in_proj.forward(x)

def denoise_step(self, x: Tensor, time: Tensor, condition: Optional[Tensor],
                 state: Optional[Tensor], keys: List[Tensor], values: List[Tensor],
                 first_row: int, position_ids: Tensor,
                 attention_bias: Optional[Tensor]) -> Tensor:
    expert = self.paligemma_with_expert.gemma_expert.model
    if condition is None:
        rows = self.step_condition(time)
    else:
        rows = condition
    suffix = self.embed_suffix(x, time, condition, state).to(expert.dtype())
    cos, sin = self.rotary(position_ids, suffix.dtype)
    hidden = expert.forward(suffix, rows, cos, sin, keys, values, first_row, attention_bias)
    return self.action_out_proj.forward(hidden.to(FLOAT32))
