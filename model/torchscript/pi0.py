# PI0Pytorch, the rest for π0: the robot state is a token of the suffix, the flow time enters the
# action tokens.
#   state_proj, action_time_mlp_in, action_time_mlp_out: Float32Linear.

# Who attends to whom in the suffix: a token sees those whose order is not above its own. int64 [S].
# The state token sees itself and the prefix; the actions see everything.
def suffix_order(self, horizon: int, device: Device) -> Tensor:
    return torch.constant_pad_nd(torch.ones([horizon], dtype=INT64, device=device), [1, 0])

# What denoise_step takes for its state.
def suffix_state(self, state: Tensor) -> Optional[Tensor]:
    return state

# The MLP's first layer sees [action | time]: this is its time half, bias included.
def step_condition(self, times: Tensor) -> Tensor:
    embedding = self.time_embedding(times)
    width = embedding.size(1)
    time_half = self.action_time_mlp_in.weight.to(FLOAT32).narrow(1, width, width)
    return torch.matmul(embedding, time_half.t()) + self.action_time_mlp_in.bias.to(FLOAT32)

def embed_suffix(self, x: Tensor, time: Tensor, condition: Optional[Tensor],
                 state: Optional[Tensor]) -> Tensor:
    actions = self.action_in_proj.forward(x)
    if condition is None:
        embedding = self.time_embedding(time).unsqueeze(1).expand_as(actions)
        hidden = self.action_time_mlp_in.forward(torch.cat([actions, embedding], 2))
    else:
        action_half = self.action_time_mlp_in.weight.to(FLOAT32).narrow(1, 0, actions.size(2))
        hidden = torch.matmul(actions, action_half.t()) + condition.unsqueeze(1)
    suffix = self.action_time_mlp_out.forward(torch.silu(hidden))
    if state is not None:
        suffix = torch.cat([self.state_proj.forward(state).unsqueeze(1), suffix], 1)
    return suffix

def encode_state(self, state: Tensor, keys: List[Tensor], values: List[Tensor], first_row: int,
                 position_ids: Tensor, attention_bias: Optional[Tensor]) -> None:
    expert = self.paligemma_with_expert.gemma_expert.model
    x = self.state_proj.forward(state).unsqueeze(1).to(expert.dtype())
    cos, sin = self.rotary(position_ids, x.dtype)
    expert.forward(x, cos, sin, keys, values, first_row, attention_bias, True)

def denoise_step(self, x: Tensor, time: Tensor, condition: Optional[Tensor],
                 state: Optional[Tensor], keys: List[Tensor], values: List[Tensor],
                 first_row: int, position_ids: Tensor,
                 attention_bias: Optional[Tensor]) -> Tensor:
    expert = self.paligemma_with_expert.gemma_expert.model
    suffix = self.embed_suffix(x, time, condition, state).to(expert.dtype())
    cos, sin = self.rotary(position_ids, suffix.dtype)
    hidden = expert.forward(suffix, cos, sin, keys, values, first_row, attention_bias, False)
    actions = hidden.narrow(1, hidden.size(1) - x.size(1), x.size(1))
    return self.action_out_proj.forward(actions.to(FLOAT32))
