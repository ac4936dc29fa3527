"""Operations of networks."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "O26",
        "identity activation",
        "collapse test",
        (
            "tests/coverage/test_networks.py::test_layers_without_activations_are_one_layer",
            "gx.nn.identity",
        ),
    ),
    Row(
        "O27",
        "cross-entropy with one-hot labels",
        "not symmetric; 0·log safe",
        (
            "tests/coverage/test_operations.py::test_cross_entropy_is_not_symmetric",
            "tests/nn/test_losses.py::test_cross_entropy_with_distributions",
        ),
    ),
    Row(
        "O28",
        "binary cross-entropy",
        "from logits, stable",
        (
            "tests/nn/test_losses.py::test_sigmoid_cross_entropy",
            "gx.nn.sigmoid_cross_entropy",
        ),
    ),
    Row(
        "O29",
        "squared error",
        "Σ(y−t)²",
        (
            "tests/nn/test_losses.py::test_elementwise_losses[mse]",
            "gx.nn.mse",
        ),
    ),
    Row(
        "O30",
        "categorical cross-entropy (Keras name)",
        "alias",
        (
            "tests/nn/test_more_losses.py::test_values[categorical_crossentropy]",
            "tests/train/test_keras_habits.py::test_the_worksheet_runs_as_written",
            "gx.nn.categorical_crossentropy",
        ),
    ),
    Row(
        "O31",
        "one-hot encoding",
        "also as sparse labels",
        (
            "tests/frontend/functions/test_functions.py::test_one_hot",
            "tests/nn/test_losses.py::test_label_smoothing_agrees_between_labels_and_distributions",
        ),
    ),
    Row(
        "O32",
        "gather / embedding lookup",
        "row-sparse gradient",
        (
            "tests/nn/test_layers.py::test_embedding",
            "tests/optim/test_sparse.py::test_nothing_of_the_size_of_the_table_is_written",
        ),
    ),
    Row(
        "O33",
        "conv2d: stride, valid/same, channels, 1×1, 3×3, 5×5",
        "28→28/26/13; 25×32 vs 32×4 connections, 8 weights",
        (
            "tests/coverage/test_operations.py::test_sizes_of_convolutions",
            "tests/coverage/test_operations.py::test_connections_and_weights",
            "tests/nn/test_convolution.py::test_against_scipy",
        ),
    ),
    Row(
        "O34",
        "conv1d",
        "shared weights picture",
        ("tests/coverage/test_operations.py::test_a_convolution_of_a_line_shares_its_weights",),
    ),
    Row(
        "O35",
        "max pooling, size ≠ stride",
        "gradient to one element",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_the_gradient_of_a_maximum_is_sparse_and_of_a_mean_is_shared"
            ),
            "tests/nn/test_pooling.py::test_the_first_of_equal_maxima_gets_the_gradient",
        ),
    ),
    Row(
        "O36",
        "average pooling",
        "gradient shared",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_the_gradient_of_a_maximum_is_sparse_and_of_a_mean_is_shared"
            ),
        ),
    ),
    Row(
        "O37",
        "Gaussian blur filter",
        "fixed-weight conv",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_a_gaussian_blur_is_a_convolution_with_fixed_weights"
            ),
        ),
    ),
    Row(
        "O38",
        "Bernoulli mask",
        "same bits on every back end",
        (
            "tests/random/test_random.py::test_bernoulli",
            "tests/random/test_distributions.py::test_all_targets_draw_the_same_bits",
        ),
    ),
    Row(
        "O39",
        "Gaussian random",
        "same",
        (
            "tests/random/test_random.py::test_normal_is_normal",
            "tests/nn/test_native.py::test_random_numbers_have_the_same_bits",
        ),
    ),
    Row(
        "O40",
        "uniform random",
        "Glorot uniform",
        (
            "tests/random/test_random.py::test_uniform_is_uniform",
            "tests/init/test_init.py::test_variance_follows_the_fans",
        ),
    ),
    Row(
        "O41",
        "multinomial / categorical sampling",
        "text generation",
        (
            "tests/random/test_distributions.py::test_categories",
            "tests/decode/test_decode.py::test_samples_have_the_probabilities_of_the_model",
        ),
    ),
    Row(
        "O42",
        "cosine distance",
        "embedding neighbours",
        (
            "tests/nn/test_resize.py::test_similarity",
            "tests/examples/test_maps.py::test_neighbours_are_those_of_all_cosines",
        ),
    ),
    Row(
        "O43",
        "L2 normalise",
        "unit-norm embeddings",
        (
            "tests/nn/test_resize.py::test_similarity",
            "gx.nn.l2_normalize",
        ),
    ),
    Row(
        "O44",
        "top-k nearest neighbours",
        "retrieval",
        (
            "tests/frontend/functions/test_sorting.py::test_topk",
            "examples/retrieval.py",
        ),
    ),
    Row(
        "O45",
        "running / exponential average",
        "state variable",
        (
            "tests/nn/test_ensemble.py::test_averages_follow_the_parameters",
            "tests/nn/test_normalization.py::test_run_epoch_moves_the_statistics_of_every_batch",
        ),
    ),
    Row(
        "O46",
        "clip, clip by global norm",
        "scale factor",
        (
            "tests/optim/test_optimizers.py::test_clip_norm_scales_by_the_global_norm",
            "tests/optim/test_optimizers.py::test_clip_value_bounds_every_element_and_comes_first",
        ),
    ),
    Row(
        "O47",
        "grayscale, (x−128)/128, standardise",
        "inside the export",
        ("tests/coverage/test_operations.py::test_pictures_are_prepared_inside_the_library",),
    ),
    Row(
        "O48",
        "PCA",
        "by SVD or power iteration",
        (
            "tests/examples/test_maps.py::test_components_are_eigenvectors_of_the_covariance",
            "examples/pca.py",
        ),
    ),
    Row(
        "O49",
        "t-SNE",
        "written as a graphc graph",
        (
            "tests/examples/test_maps.py::test_the_gradient_of_a_map_is_that_of_the_paper",
            "examples/tsne.py",
        ),
    ),
    Row(
        "O50",
        "matrix inverse / solve",
        "Newton step",
        (
            "tests/linalg/test_factors.py::test_solve",
            (
                "tests/optim/test_full_batch.py::"
                "test_newton_solves_a_quadratic_in_one_step_and_leaves_saddles"
            ),
        ),
    ),
    Row(
        "O51",
        "compare, select (where)",
        "safe gradient",
        (
            "tests/frontend/autodiff/test_where_gradients.py::test_function",
            "tests/frontend/autodiff/test_function_gradients.py::test_where_lets_no_nan_through",
        ),
    ),
)
