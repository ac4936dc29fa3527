"""From a graph to kernels: which nodes share a kernel, and the loops that compute them."""
