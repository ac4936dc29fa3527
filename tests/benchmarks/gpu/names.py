"""The settings by how much it matters to know their times; imports nothing."""

PRIORITY = (
    "mlp", "gpt_12x768_bf16", "resnet50_bf16", "gpt", "lstm", "resnet20", "cnn_mlvu", "word2vec",
    "resnet50_tf32",
)  # fmt: skip
