"""Policies: the interface (base.py) and baselines that need no model.

An evaluation treats all of them alike; only a baseline has `begin_episode`:

    policy.reset()
    if isinstance(policy, EnvironmentPolicy):
        policy.begin_episode(environment)
    step = environment.reset(...)

`ScriptedPolicy(replan_steps=...)` and `OpenLoopReplay(replan_steps=...)` must be told how many
actions of each chunk are executed. Their `infer(obs)` takes no seed.
"""

from vlaserve_libero.policies.base import EnvironmentPolicy, Policy, PolicyError

__all__ = ["EnvironmentPolicy", "Policy", "PolicyError"]
