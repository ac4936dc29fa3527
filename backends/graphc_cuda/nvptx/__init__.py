"""Device programs as LLVM text for the NVPTX target: see `graphc_cuda.print_nvptx`."""
