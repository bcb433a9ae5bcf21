# PI0Pytorch, the root: what π0 and π0.5 have in common. pi0.py or pi05.py adds the rest.
#   paligemma_with_expert: both stacks and the vision tower;
#   action_in_proj, action_out_proj: Float32Linear;
#   rope_inv_freq float32 [head_dim / 2]: buffer; min_period, max_period: float.
#
# Shapes: B batch, T tokens a camera, L prompt tokens, P prefix tokens, S suffix tokens, H horizon,
# A action dimension, W LLM width, E expert width. model/archive/FORMAT.md describes the methods.

# cos and sin of the rotary angles, computed in float32: [B, 1, S, head_dim / 2] in `dtype`.
def rotary(self, position_ids: Tensor, dtype: int) -> Tuple[Tensor, Tensor]:
    angles = (position_ids.to(FLOAT32).unsqueeze(-1) * self.rope_inv_freq).unsqueeze(1)
    return angles.cos().to(dtype), angles.sin().to(dtype)

# What is added to attention logits: float32 [B, 1, Q, K], 0 where allowed (bool [B, Q, K]).
def attention_bias(self, allowed: Tensor) -> Tensor:
    zero = torch.zeros([], dtype=FLOAT32, device=allowed.device)
    return torch.where(allowed, zero, zero - 2.3819763e38).unsqueeze(1)

def encode_images(self, pixels: Tensor) -> Tensor:
    paligemma = self.paligemma_with_expert.paligemma.model
    features = paligemma.vision_tower.vision_model.forward(pixels)
    return paligemma.multi_modal_projector.forward(features)

# The scale is applied in float32 and the product rounded once.
def embed_prompt(self, tokens: Tensor) -> Tensor:
    rows = self.paligemma_with_expert.paligemma.model.language_model.embed_tokens.forward(tokens)
    return (rows.to(FLOAT32) * (float(rows.size(-1)) ** 0.5)).to(rows.dtype)

def encode_prefix(self, embeddings: Tensor, position_ids: Tensor,
                  attention_bias: Optional[Tensor], suffix_slots: int,
                  kv_only_last: bool) -> Tuple[List[Tensor], List[Tensor]]:
    language_model = self.paligemma_with_expert.paligemma.model.language_model
    x = embeddings.to(language_model.dtype())
    cos, sin = self.rotary(position_ids, x.dtype)
    keys: List[Tensor] = []
    values: List[Tensor] = []
    for i in range(DEPTH):
        keys.append(language_model.new_buffer(x, x.size(1) + suffix_slots))
        values.append(language_model.new_buffer(x, x.size(1) + suffix_slots))
    x = language_model.forward(x, cos, sin, keys, values, 0, attention_bias, kv_only_last)
    # Nobody needs the output. Looking at it keeps the executor from dropping the last block's
    # unneeded half on its own, so that kv_only_last decides.
    if not kv_only_last:
        assert bool(torch.isfinite(x).all()), "the language model's output is not finite"
    return keys, values

# Sines, then cosines of the time in E / 2 periods from min_period to max_period; float64 inside.
def time_embedding(self, time: Tensor) -> Tensor:
    fraction = torch.linspace(0.0, 1.0, self.action_in_proj.weight.size(0) // 2, dtype=FLOAT64,
                              device=time.device)
    period = self.min_period * (self.max_period / self.min_period) ** fraction
    angles = (1.0 / period * 2.0 * 3.141592653589793).unsqueeze(0) * time.unsqueeze(1)
    return torch.cat([angles.sin(), angles.cos()], 1).to(FLOAT32)

def sample_actions(self, images: List[Tensor], image_mask: Tensor, tokens: Tensor,
                   token_mask: Tensor, state: Tensor, noise: Tensor, num_steps: int) -> Tensor:
    embeddings: List[Tensor] = []
    valid: List[Tensor] = []
    for i in range(len(images)):
        image_tokens = self.encode_images(images[i])
        embeddings.append(image_tokens)
        valid.append(image_mask.narrow(1, i, 1).expand([-1, image_tokens.size(1)]))
    embeddings.append(self.embed_prompt(tokens))
    valid.append(token_mask)
    prefix_valid = torch.cat(valid, 1)
    prefix_size = prefix_valid.size(1)

    # Masked tokens neither attend, nor are attended to, nor advance the positions.
    suffix_order = self.suffix_order(noise.size(1), noise.device)
    suffix_size = suffix_order.size(0)
    prefix_bias = self.attention_bias(prefix_valid.unsqueeze(1) & prefix_valid.unsqueeze(2))
    keys, values = self.encode_prefix(torch.cat(embeddings, 1),
                                      prefix_valid.to(INT64).cumsum(1) - 1, prefix_bias,
                                      suffix_size, False)
    suffix_allowed = (suffix_order.unsqueeze(0) <= suffix_order.unsqueeze(1)).unsqueeze(0)
    suffix_bias = self.attention_bias(torch.cat([
        prefix_valid.unsqueeze(1).expand([-1, suffix_size, -1]),
        suffix_allowed.expand([noise.size(0), -1, -1])], 2))
    prefix_length = prefix_valid.to(INT64).sum([1], True)
    positions = prefix_length + torch.arange(suffix_size, device=noise.device)

    # Euler steps from noise (t = 1) to actions (t = 0); the time accumulates in float32.
    dt = torch.full([], -1.0 / num_steps, dtype=FLOAT32, device=noise.device)
    time = torch.ones([noise.size(0)], dtype=FLOAT32, device=noise.device)
    x = noise
    for step in range(num_steps):
        velocity = self.denoise_step(x, time, None, self.suffix_state(state), keys, values,
                                     prefix_size, positions, suffix_bias)
        x = x + dt * velocity
        time = time + dt
    return x
