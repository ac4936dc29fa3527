"""What users write programs with: tensors, functions, gradients."""
