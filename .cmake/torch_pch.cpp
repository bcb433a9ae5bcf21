// Carries the precompiled LibTorch header of its target.
