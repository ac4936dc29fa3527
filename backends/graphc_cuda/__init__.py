"""The same step on NVIDIA GPUs: generated CUDA kernels, one CUDA graph, and a simulator."""
