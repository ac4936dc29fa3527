"""Models and systems."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "M01",
        "Logistic classifier 28×28→10",
        "`summary()` says 7,850 parameters; (N+1)K in general",
        (
            "tests/inspect/test_report.py::test_logistic_classifier_has_7850_numbers",
            "tests/inspect/test_report.py::test_affine_classifier_has_n_plus_1_times_k_numbers",
            "gx.models.logistic",
        ),
    ),
    Row(
        "M02",
        "Multinomial logistic regression (linear + softmax + cross-entropy)",
        "trains on letters/digits; sklearn parity",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_multinomial_regression_ends_where_scikit_learn_ends"
            ),
            "examples/mnist.py",
        ),
    ),
    Row(
        "M03",
        "Logistic regression as one sigmoid neuron, cat / non-cat on flattened RGB",
        "gradient equals (a−y)xᵀ",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_a_sigmoid_neuron_has_the_gradient_difference_times_input"
            ),
            "examples/regressors.py",
            "tests/examples/test_programs.py::test_a_quick_program[regressors]",
        ),
    ),
    Row(
        "M04",
        "Linear regression; identity-activation net collapses to it",
        "compiler folds W3·W2·W1 chain (optional rewrite) and outputs agree",
        (
            "tests/coverage/test_networks.py::test_layers_without_activations_are_one_layer",
            "examples/board_formulas.py",
            "tests/examples/test_programs.py::test_a_quick_program[board_formulas]",
        ),
    ),
    Row(
        "M05",
        'Nearest-neighbour "memoriser" (100 % on training data)',
        "kNN baseline example",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_a_memory_of_all_examples_is_always_right_about_them"
            ),
            "examples/retrieval.py",
        ),
    ),
    Row(
        "M06",
        "3-2-1 sigmoid network with hand-derived dW3, dW2",
        "auto gradients equal the board formulas",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_a_network_of_three_two_and_one_has_the_gradients_of_the_board"
            ),
            "examples/board_formulas.py",
        ),
    ),
    Row(
        "M07",
        "Two-layer ReLU network with H hidden units",
        "example",
        (
            "examples/playground.py",
            "tests/examples/test_programs.py::test_a_quick_program[playground]",
            "examples/digits_mlp.py",
            "tests/train/test_examples.py::test_digits_mlp_reaches_97_percent",
        ),
    ),
    Row(
        "M08",
        "Feed-forward V·σ(Wx+b)+c with squared loss",
        "example + gradient formulas l_k·xᵀ, Wᵀ·l_k, l_k",
        (
            "tests/coverage/test_networks.py::test_one_hidden_layer_and_a_squared_loss",
            "examples/board_formulas.py",
        ),
    ),
    Row(
        "M09",
        "Deep MLP; wide vs deep at equal parameters",
        "experiment script",
        (
            "tests/coverage/test_training.py::test_deep_beats_wide_at_equal_numbers_of_parameters",
            "examples/wide_and_deep.py",
            "tests/examples/test_programs.py::test_a_slow_program[wide_and_deep]",
        ),
    ),
    Row(
        "M10",
        "10-layer identity network, weights 1.5·I or 0.5·I",
        "output = 1.5^L, 0.5^L",
        (
            "tests/coverage/test_networks.py::test_ten_layers_of_a_scaled_identity",
            "examples/board_formulas.py",
        ),
    ),
    Row(
        "M11",
        "House-price regressor with ReLU output; reward regressor with tanh output",
        "examples",
        (
            "tests/coverage/test_networks.py::test_outputs_that_are_prices_and_rewards",
            "examples/regressors.py",
            "tests/examples/test_programs.py::test_a_quick_program[regressors]",
        ),
    ),
    Row(
        "M12",
        "Convnet pyramid + fully connected head",
        "example",
        (
            "tests/train/test_keras_habits.py::test_the_worksheet_runs_as_written",
            "examples/mnist.py",
        ),
    ),
    Row(
        "M13",
        "LeNet-5",
        "model zoo entry, MNIST accuracy",
        (
            "tests/models/test_models.py::test_numbers_of_parameters[lenet5]",
            "examples/mnist.py",
            "gx.models.lenet5",
        ),
    ),
    Row(
        "M14",
        "AlexNet (about 60 M parameters)",
        "zoo entry, parameter count, compiles",
        (
            "tests/models/test_models.py::test_numbers_of_parameters[alexnet]",
            "tests/coverage/test_networks.py::test_alexnet_compiles",
            "gx.models.alexnet",
        ),
    ),
    Row(
        "M15",
        'VGG ("140 million parameters"; the transcript garbles the name), ZFNet, GoogLeNet',
        "zoo entries",
        (
            "tests/models/test_models.py::test_numbers_of_parameters[vgg16]",
            "tests/models/test_models.py::test_numbers_of_parameters[googlenet]",
            "tests/models/test_models.py::test_numbers_of_parameters[zfnet]",
            "gx.models.vgg16",
            "gx.models.googlenet",
            "gx.models.zfnet",
        ),
    ),
    Row(
        "M16",
        "150-layer convnets (ResNet-152 class)",
        "zoo entry; compile time stays linear in depth",
        (
            "tests/models/test_models.py::test_numbers_of_parameters[resnet152]",
            "tests/test_growth.py::test_work_is_proportional_to_depth",
            "gx.models.resnet152",
        ),
    ),
    Row(
        "M17",
        "Inception module (pool+1×1, 1×1, 1×1+3×3, 1×1+5×5, concat)",
        "layer + test",
        (
            "tests/nn/test_more_layers.py::test_inception_joins_four_branches",
            "gx.nn.Inception",
        ),
    ),
    Row(
        "M18",
        "Neocognitron: unsupervised layer-wise clustering, simple/complex cells",
        "example (k-means filters, Gabor bank)",
        (
            "examples/neocognitron.py",
            "tests/examples/test_programs.py::test_a_slow_program[neocognitron]",
        ),
    ),
    Row(
        "M19",
        "Keras worksheet CNN: Conv16-Conv32-MaxPool-Drop.25-Flatten-Dense128-Drop.5-Dense10",
        "same code shape through graphc API, same summary",
        (
            "tests/train/test_keras_habits.py::test_the_worksheet_runs_as_written",
            "gx.models.m19_cnn",
        ),
    ),
    Row(
        "M20",
        "Face-detection convnet with edge → part → face hierarchy",
        "example with filter plots",
        (
            "examples/faces.py",
            "tests/examples/test_programs.py::test_a_slow_program[faces]",
        ),
    ),
    Row(
        "M21",
        "Convnets for speech and text (1-D)",
        "examples",
        (
            "examples/speech.py",
            "tests/examples/test_programs.py::test_a_slow_program[speech]",
            "examples/documents.py",
        ),
    ),
    Row(
        "M22",
        "Per-pixel segmentation network; neural tissue; roads in satellite images",
        "fully convolutional example",
        (
            "examples/segmentation.py",
            "tests/examples/test_programs.py::test_a_slow_program[segmentation]",
        ),
    ),
    Row(
        "M23",
        "Detection by classifying patches (pedestrians, dogs, horses, people)",
        "sliding window compiled as one convolution",
        (
            "examples/detection.py",
            "tests/examples/test_programs.py::test_a_slow_program[detection]",
        ),
    ),
)
