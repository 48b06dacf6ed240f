"""Speed and memory of a training step: CUDA graphs, compilation, checkpointed activations, memory formats."""
