"""Models and systems, from rankings on."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "M24",
        "Query/web-page relevance classifier (ranking)",
        "pairwise example",
        (
            "examples/ranking.py",
            "tests/examples/test_programs.py::test_a_quick_program[ranking]",
        ),
    ),
    Row(
        "M25",
        "Image retrieval by network codes",
        "embedding + top-k",
        (
            "tests/examples/test_maps.py::test_neighbours_are_those_of_all_cosines",
            "examples/retrieval.py",
        ),
    ),
    Row(
        "M26",
        "Pose estimation; video classification; multi-digit house numbers",
        "small examples",
        (
            "examples/pose.py",
            "tests/examples/test_programs.py::test_a_slow_program[pose]",
            "examples/video.py",
            "tests/examples/test_programs.py::test_a_slow_program[video]",
            "examples/house_numbers.py",
            "tests/examples/test_programs.py::test_a_slow_program[house_numbers]",
        ),
    ),
    Row(
        "M27",
        "word2vec (skip-gram, random word in a window)",
        "example; nearest neighbours",
        (
            "tests/examples/test_language.py::test_words_used_alike_are_neighbours",
            "examples/word2vec.py",
            "gx.models.SkipGram",
        ),
    ),
    Row(
        "M28",
        "Recurrent network (shared weights in time)",
        "scan example",
        (
            "tests/nn/test_recurrent.py::test_is_a_loop_over_time",
            "tests/train/test_sequences.py::test_gates_remember_longer_than_a_simple_network",
            "gx.scan",
        ),
    ),
    Row(
        "M29",
        'LSTM (three gates + tanh, "five lines of code")',
        "layer; five-line definition compiles",
        (
            "tests/train/test_examples.py::test_lstm_in_five_lines_remembers",
            "examples/lstm_five_lines.py",
            "gx.nn.LSTM",
        ),
    ),
    Row(
        "M30",
        "Character / word language model",
        "generation example",
        (
            "tests/examples/test_language.py::test_networks_need_fewer_bits_than_5_grams",
            "examples/language_model.py",
        ),
    ),
    Row(
        "M31",
        "Sequence → vector, vector → sequence, sequence → sequence",
        "three examples",
        (
            "examples/documents.py",
            "examples/captioning.py",
            "examples/translation.py",
            "tests/examples/test_language.py::test_translations_are_better_than_copies",
        ),
    ),
    Row(
        "M32",
        "Machine translation English → French",
        "toy seq2seq",
        (
            "tests/examples/test_language.py::test_translations_are_better_than_copies",
            "examples/translation.py",
        ),
    ),
    Row(
        "M33",
        "End-to-end speech recognition",
        "toy CTC or seq2seq",
        (
            "tests/nn/test_ctc.py::test_training_learns_an_alignment",
            "examples/speech.py",
            "tests/examples/test_programs.py::test_a_slow_program[speech]",
            "gx.models.ctc_speech",
        ),
    ),
    Row(
        "M34",
        "Captioning: convnet + RNN",
        "example",
        (
            "tests/examples/test_language.py::test_captions_say_what_is_seen",
            "examples/captioning.py",
        ),
    ),
    Row(
        "M35",
        "Document classifier (politics / business / science)",
        "example",
        ("examples/documents.py",),
    ),
    Row(
        "M36",
        "Autoencoder",
        "example",
        (
            "examples/autoencoders.py",
            "tests/examples/test_programs.py::test_a_slow_program[autoencoders]",
            "gx.models.VAE",
        ),
    ),
    Row(
        "M37",
        "GAN, DCGAN, CoGAN, progressive GAN, StyleGAN (the five cited papers)",
        "GAN + DCGAN trainable; others as graphs",
        (
            "examples/dcgan.py",
            "tests/examples/test_programs.py::test_a_slow_program[dcgan]",
            "examples/gans.py",
            "tests/examples/test_programs.py::test_a_slow_program[gans]",
            "gx.models.cogan_generator",
            "gx.models.progressive_generator",
            "gx.models.stylegan_generator",
        ),
    ),
    Row(
        "M38",
        "pix2pix (paired image to image)",
        "U-Net generator + patch discriminator",
        (
            "examples/pix2pix.py",
            "tests/examples/test_programs.py::test_a_slow_program[pix2pix]",
            "tests/models/test_models.py::test_numbers_of_parameters[pix2pix]",
            "tests/models/test_models.py::test_numbers_of_parameters[patches]",
            "gx.models.pix2pix_generator",
            "gx.models.patch_discriminator",
        ),
    ),
    Row(
        "M39",
        "CycleGAN (unpaired)",
        "two generators, cycle loss",
        (
            "examples/cyclegan.py",
            "tests/examples/test_programs.py::test_a_slow_program[cyclegan]",
            "tests/models/test_models.py::test_a_step_of_each_lowers_its_loss[cyclegan]",
            "gx.models.cyclegan_generator",
        ),
    ),
    Row(
        "M40",
        "Style transfer with a frozen classifier",
        "optimise the input",
        (
            "examples/style_transfer.py",
            "tests/examples/test_programs.py::test_a_slow_program[style_transfer]",
            "tests/models/test_models.py::test_gram_matrices_and_losses_of_pictures",
            "gx.models.style_loss",
        ),
    ),
    Row(
        "M41",
        "Deep dream",
        "gradient ascent on input",
        (
            "examples/dreams.py",
            "tests/examples/test_programs.py::test_a_slow_program[dreams]",
            "gx.models.dream_loss",
        ),
    ),
    Row(
        "M42",
        "Feature visualisation: maximise / minimise one unit; search the data set",
        "three functions",
        (
            "examples/dreams.py",
            "tests/examples/test_programs.py::test_a_slow_program[dreams]",
            "tests/coverage/test_workflows.py::test_the_examples_that_excite_a_unit_are_found",
        ),
    ),
    Row(
        "M43",
        "Game-playing / reinforcement-learning networks",
        "DQN-type example",
        (
            "examples/catch_dqn.py",
            "tests/examples/test_programs.py::test_a_slow_program[catch_dqn]",
            "gx.models.dqn",
        ),
    ),
    Row(
        "M44",
        "Ensembles of independent models",
        "`vmap`-like stacked training",
        (
            "tests/nn/test_ensemble.py::test_members_train_as_if_they_were_alone",
            "examples/ensemble.py",
            "tests/examples/test_programs.py::test_a_quick_program[ensemble]",
            "gx.ensemble",
        ),
    ),
    Row(
        "M45",
        "Checkpoint ensembles",
        "average last N",
        (
            "tests/train/test_averaging.py::test_a_model_takes_the_mean_of_its_last_checkpoints",
            "examples/checkpoint_ensemble.py",
            "tests/examples/test_programs.py::test_a_quick_program[checkpoint_ensemble]",
            "gx.average_checkpoints",
        ),
    ),
    Row(
        "M46",
        "Differentiable pipeline vs OCR→tokenise→NER→relations",
        "end-to-end toy",
        (
            "examples/pipeline.py",
            "tests/examples/test_programs.py::test_a_slow_program[pipeline]",
        ),
    ),
    Row(
        "M47",
        (
            "Reference systems named: TensorFlow, PyTorch, Keras, NumPy, IPython notebooks, "
            "TensorFlow Playground, Tegra embedded GPU, Kaggle"
        ),
        "import/export or notebook display for each where meaningful",
        (
            "tests/onnx/test_client_models.py::test_agrees_with_onnxruntime",
            "tests/train/test_keras_habits.py::test_the_worksheet_runs_as_written",
            "tests/errors/test_calls.py::test_buffers_and_dlpack",
            "tests/examples/test_notebooks.py::test_models_histories_and_sweeps_show_themselves",
            "tests/data/test_synthetic.py::test_playground_is_apart_where_it_should_be",
            "tests/export/test_export.py::test_from_c",
            "tests/data/test_readers.py::test_csv_has_numbers_and_categories",
        ),
    ),
)
