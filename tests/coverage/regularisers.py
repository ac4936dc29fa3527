"""First weights, normalisation, regularisers."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "I01",
        "small Gaussian init, σ study",
        "peaky vs flat softmax",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_small_weights_have_flat_scores_and_large_ones_peaks"
            ),
        ),
    ),
    Row(
        "I02",
        "zero bias",
        "",
        ("tests/coverage/test_networks.py::test_biases_begin_at_zero",),
    ),
    Row(
        "I03",
        "symmetry problem with constant init",
        "neurons stay equal",
        ("tests/coverage/test_networks.py::test_neurons_that_begin_alike_stay_alike",),
    ),
    Row(
        "I04",
        "scale 1/n",
        "",
        (
            "tests/init/test_init.py::test_inverse_fan_has_the_deviation_of_one_over_n",
            "gx.init.inverse_fan",
        ),
    ),
    Row(
        "I05",
        "√(1/n) for sigmoid",
        "",
        (
            "tests/init/test_init.py::test_variance_follows_the_fans",
            "gx.init.lecun_normal",
        ),
    ),
    Row(
        "I06",
        "√(2/n) for ReLU (He)",
        "",
        (
            "tests/init/test_init.py::test_variance_follows_the_fans",
            (
                "tests/coverage/test_networks.py::"
                "test_values_keep_their_size_where_weights_have_the_right_one"
            ),
            "gx.init.he_normal",
        ),
    ),
    Row(
        "I07",
        "Xavier √(1/n) for tanh",
        "",
        (
            "tests/init/test_init.py::test_variance_follows_the_fans",
            (
                "tests/coverage/test_networks.py::"
                "test_values_keep_their_size_where_weights_have_the_right_one"
            ),
            "gx.init.lecun_normal",
        ),
    ),
    Row(
        "I08",
        "Glorot uniform √(6/(n_in+n_out))",
        "",
        (
            "tests/init/test_init.py::test_variance_follows_the_fans",
            "gx.init.glorot_uniform",
        ),
    ),
    Row(
        "I09",
        "Glorot normal (both directions)",
        "",
        (
            "tests/init/test_init.py::test_variance_follows_the_fans",
            "gx.init.glorot_normal",
        ),
    ),
    Row(
        "I10",
        "random orthogonal",
        "eigenvalue modulus 1",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_the_eigenvalues_of_an_orthogonal_matrix_lie_on_the_unit_circle"
            ),
            "tests/init/test_init.py::test_orthogonal",
        ),
    ),
    Row(
        "I11",
        "activation histograms per layer",
        "too small → 0, too large → saturate",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_values_keep_their_size_where_weights_have_the_right_one"
            ),
            "tests/train/test_taps.py::test_a_histogram_in_the_step_is_exact_over_ragged_batches",
        ),
    ),
    Row(
        "I12",
        "input standardisation, training μ and σ reused at test",
        "layer with frozen statistics",
        (
            "tests/data/test_preparing.py::test_standardize_gives_mean_0_and_deviation_1",
            "tests/data/test_preparing.py::test_standardize_travels_with_saved_parameters",
            "gx.nn.Standardize",
        ),
    ),
    Row(
        "I13",
        "loss contours before/after normalisation",
        "plot",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_values_of_a_batch_are_centred_and_the_landscape_is_rounder"
            ),
            "examples/standardise.py",
            "tests/examples/test_programs.py::test_a_quick_program[standardise]",
            "gx.plot.contours",
        ),
    ),
    Row(
        "I14",
        "(x−128)/128 pixel scaling",
        "",
        (
            "tests/coverage/test_operations.py::test_pictures_are_prepared_inside_the_library",
            "gx.nn.Rescaling",
        ),
    ),
    Row(
        "I15",
        "batch normalisation, train and test modes",
        "",
        (
            "tests/nn/test_normalization.py::test_batch_norm",
            "tests/nn/test_normalization.py::test_fit_validates_with_the_running_statistics",
        ),
    ),
    Row(
        "I16",
        "L2 penalty",
        "gradient λx",
        (
            "tests/coverage/test_regularisers.py::test_penalties_and_their_slopes",
            "gx.regularizers.l2",
        ),
    ),
    Row(
        "I17",
        "L1 penalty with exact zeros",
        "proximal option",
        (
            "tests/coverage/test_regularisers.py::test_l1_makes_exact_zeros_and_l2_does_not",
            "tests/nn/test_more_layers.py::test_proximal_steps_end_in_exact_zeros",
            "gx.optim.ProximalL1",
        ),
    ),
    Row(
        "I18",
        "Lp norm family",
        "",
        (
            "tests/coverage/test_regularisers.py::test_penalties_and_their_slopes",
            "gx.regularizers.lp",
        ),
    ),
    Row(
        "I19",
        "regularise a subset of parameters",
        "mask by name",
        (
            "tests/optim/test_composition.py::test_masks_are_patterns_of_names",
            "tests/optim/test_optimizers.py::test_weight_decay_mask",
        ),
    ),
    Row(
        "I20",
        "dropout with test-time scaling",
        "",
        (
            (
                "tests/coverage/test_regularisers.py::"
                "test_dropout_expects_half_of_a_sum_and_both_ways_of_scaling_agree"
            ),
        ),
    ),
    Row(
        "I21",
        "inverted dropout",
        "expectation test",
        ("tests/nn/test_layers.py::test_dropout_keeps_the_mean_and_scales",),
    ),
    Row(
        "I22",
        "per-layer dropout rates",
        "",
        (
            (
                "tests/coverage/test_regularisers.py::"
                "test_each_layer_has_a_rate_of_its_own_and_asks_many_times_at_the_test"
            ),
        ),
    ),
    Row(
        "I23",
        "Monte-Carlo dropout at test time",
        "",
        (
            (
                "tests/coverage/test_regularisers.py::"
                "test_each_layer_has_a_rate_of_its_own_and_asks_many_times_at_the_test"
            ),
            "tests/nn/test_layers.py::test_dropout_is_gone_at_inference_unless_always",
        ),
    ),
    Row(
        "I24",
        "DropConnect",
        "",
        (
            "tests/nn/test_layers.py::test_dropconnect_drops_weights_and_scales_the_others",
            "gx.nn.DropConnect",
        ),
    ),
    Row(
        "I25",
        "dropout on non-recurrent LSTM connections only",
        "",
        (
            (
                "tests/nn/test_recurrent.py::"
                "test_dropout_drops_inputs_anew_each_step_and_never_the_state"
            ),
        ),
    ),
    Row(
        "I26",
        "early stopping",
        "best weights restored",
        (
            "tests/train/test_fit.py::test_early_stopping_restores_the_best_parameters",
            "gx.callbacks.EarlyStopping",
        ),
    ),
    Row(
        "I27",
        "model ensemble",
        "+2 % check",
        (
            (
                "tests/coverage/test_training.py::"
                "test_an_ensemble_is_about_two_percent_better_than_its_members"
            ),
            "examples/ensemble.py",
            "tests/examples/test_programs.py::test_a_quick_program[ensemble]",
        ),
    ),
    Row(
        "I28",
        "checkpoint ensemble",
        "",
        (
            "tests/train/test_averaging.py::test_a_model_takes_the_mean_of_its_last_checkpoints",
            "examples/checkpoint_ensemble.py",
            "gx.average_checkpoints",
        ),
    ),
    Row(
        "I29",
        "EMA of weights (0.995)",
        "",
        (
            "tests/nn/test_ensemble.py::test_averages_follow_the_parameters",
            (
                "tests/coverage/test_training.py::"
                "test_averaged_weights_are_better_than_those_of_a_noisy_step"
            ),
            "gx.ema",
        ),
    ),
    Row(
        "I30",
        "weight sharing / tying",
        "gradients add",
        ("tests/nn/test_layers.py::test_calling_twice_shares_weights_and_adds_gradients",),
    ),
    Row(
        "I31",
        "unit-norm embeddings",
        "constraint",
        (
            "tests/nn/test_more_layers.py::test_constraints_hold_after_every_step",
            "gx.constraints.unit_norm",
        ),
    ),
    Row(
        "I32",
        '"network too big, then regularise" (skinny jeans)',
        "experiment",
        (
            (
                "tests/coverage/test_regularisers.py::"
                "test_a_network_too_large_and_then_held_back_beats_one_that_just_fits"
            ),
        ),
    ),
    Row(
        "I33",
        "dead-ReLU detection",
        "callback",
        (
            "tests/train/test_taps.py::test_dead_units_are_reported_with_their_layer_and_number",
            "tests/train/test_taps.py::test_dead_units_are_those_that_never_fire",
        ),
    ),
)
