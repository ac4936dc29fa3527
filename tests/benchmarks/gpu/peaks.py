"""What an H200 can do at most, from NVIDIA's data sheet (without sparsity)."""

BYTES_PER_SECOND = 4.8e12
FLOPS_PER_SECOND = {"fp32": 67e12, "tf32": 494.5e12, "bf16": 989e12}
