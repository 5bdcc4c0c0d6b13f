"""A server for MLX weights, run in the engine's process: one thread computes, HTTP around it."""
