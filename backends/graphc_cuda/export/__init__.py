"""Libraries for NVIDIA GPUs: machine code, launch lists, and a program of the host in C."""
