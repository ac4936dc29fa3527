"""Claims to reproduce."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "C01",
        "7,850 parameters",
        "",
        ("tests/inspect/test_report.py::test_logistic_classifier_has_7850_numbers",),
    ),
    Row(
        "C02",
        (
            "(10⁹ + 10⁶·10⁻⁶) − 10⁹ = 0.95… and fine with 1 instead of 10⁹ (compensated summation "
            "option)"
        ),
        "",
        ("tests/coverage/test_workflows.py::test_a_million_millionths_beside_a_billion",),
    ),
    Row(
        "C03",
        "softmax of 10× scores → 0/1, of scores/10 → uniform",
        "",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_softmax_of_ten_times_and_a_tenth_of_the_scores"
            ),
        ),
    ),
    Row(
        "C04",
        "conv output sizes 28/26/13, depth 8",
        "",
        ("tests/coverage/test_operations.py::test_sizes_of_convolutions",),
    ),
    Row(
        "C05",
        "linear stacks are linear",
        "",
        ("tests/coverage/test_networks.py::test_layers_without_activations_are_one_layer",),
    ),
    Row(
        "C06",
        "1.5^L and 0.5^L",
        "",
        ("tests/coverage/test_networks.py::test_ten_layers_of_a_scaled_identity",),
    ),
    Row(
        "C07",
        "σ′ ≤ ¼",
        "",
        ("tests/coverage/test_operations.py::test_a_sigmoid_is_no_steeper_than_a_quarter",),
    ),
    Row(
        "C08",
        "gradient cost about 3×",
        "",
        ("tests/frontend/autodiff/test_gradient_cost.py::test_gradients_cost_little",),
    ),
    Row(
        "C09",
        (
            "momentum beats SGD in a valley, Nesterov overshoots less, AdaGrad stalls, RMSProp does"
            " not"
        ),
        "",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_momentum_leaves_a_valley_sooner_and_nesterov_overshoots_less"
            ),
            (
                "tests/coverage/test_optimisers.py::"
                "test_adagrad_stalls_in_long_runs_and_rmsprop_does_not"
            ),
        ),
    ),
    Row(
        "C10",
        "Adam bias correction matters only in early steps",
        "",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_the_bias_correction_of_adam_matters_in_early_steps_alone"
            ),
        ),
    ),
    Row(
        "C11",
        "dropout expectation ½(w₀x+w₁y) and both scaling styles agree",
        "",
        (
            (
                "tests/coverage/test_regularisers.py::"
                "test_dropout_expects_half_of_a_sum_and_both_ways_of_scaling_agree"
            ),
        ),
    ),
    Row(
        "C12",
        "L1 gives exact zeros, L2 does not",
        "",
        ("tests/coverage/test_regularisers.py::test_l1_makes_exact_zeros_and_l2_does_not",),
    ),
    Row(
        "C13",
        "max-pool gradient is sparse",
        "",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_the_gradient_of_a_maximum_is_sparse_and_of_a_mean_is_shared"
            ),
        ),
    ),
    Row(
        "C14",
        "weight sharing sums gradients",
        "",
        (
            "tests/coverage/test_operations.py::test_a_convolution_of_a_line_shares_its_weights",
            "tests/nn/test_layers.py::test_calling_twice_shares_weights_and_adds_gradients",
        ),
    ),
    Row(
        "C15",
        "init scale keeps variance near 1",
        "",
        (
            (
                "tests/coverage/test_networks.py::"
                "test_values_keep_their_size_where_weights_have_the_right_one"
            ),
        ),
    ),
    Row(
        "C16",
        "identical init keeps neurons identical",
        "",
        ("tests/coverage/test_networks.py::test_neurons_that_begin_alike_stay_alike",),
    ),
    Row(
        "C17",
        "ensembles about +2 %, EMA slightly better",
        "",
        (
            (
                "tests/coverage/test_training.py::"
                "test_an_ensemble_is_about_two_percent_better_than_its_members"
            ),
            (
                "tests/coverage/test_training.py::"
                "test_averaged_weights_are_better_than_those_of_a_noisy_step"
            ),
        ),
    ),
    Row(
        "C18",
        "L-BFGS wins on small deterministic problems and fails with noise",
        "",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_lbfgs_wins_where_nothing_is_random_and_fails_with_noise"
            ),
            "examples/full_batch.py",
            "tests/examples/test_programs.py::test_a_slow_program[full_batch]",
        ),
    ),
    Row(
        "C19",
        "early stopping helps",
        "",
        ("tests/coverage/test_training.py::test_stopping_early_helps_where_labels_are_wrong",),
    ),
    Row(
        "C20",
        "clipping prevents infinities, LSTM remembers longer than RNN",
        "",
        (
            "tests/train/test_sequences.py::test_clipping_prevents_infinities",
            "tests/train/test_sequences.py::test_gates_remember_longer_than_a_simple_network",
        ),
    ),
    Row(
        "C21",
        "sampled softmax is faster at like quality",
        "",
        (
            (
                "tests/coverage/test_training.py::"
                "test_a_sampled_softmax_is_further_after_the_same_arithmetic"
            ),
        ),
    ),
    Row(
        "C22",
        "cosine better than L2 for embeddings; t-SNE keeps neighbourhoods, PCA does not",
        "",
        (
            (
                "tests/coverage/test_training.py::"
                "test_cosines_find_words_that_are_alike_where_distances_find_those_that_are_as_frequent"
            ),
            (
                "tests/coverage/test_training.py::"
                "test_tsne_keeps_neighbourhoods_that_two_principal_components_do_not"
            ),
        ),
    ),
    Row(
        "C23",
        "beam search better than greedy sampling",
        "",
        ("tests/decode/test_decode.py::test_beams_find_better_sequences_than_greedy",),
    ),
    Row(
        "C24",
        "standardised inputs need fewer iterations",
        "",
        ("tests/coverage/test_optimisers.py::test_standardised_inputs_need_fewer_steps",),
    ),
    Row(
        "C25",
        "a change of fewer than 30 examples is noise",
        "",
        ("tests/coverage/test_training.py::test_a_change_of_fewer_than_30_samples_is_noise",),
    ),
    Row(
        "C26",
        "1×1 conv equals matmul",
        "",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_a_product_of_channels_is_a_convolution_of_one_pixel"
            ),
        ),
    ),
    Row(
        "C27",
        "higher learning rate starts faster and ends worse",
        "",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_a_high_rate_begins_faster_and_ends_worse_and_lowering_it_has_both"
            ),
        ),
    ),
    Row(
        "C28",
        "different seeds reach like losses in large nets",
        "",
        ("tests/coverage/test_training.py::test_seeds_reach_like_losses_in_larger_nets",),
    ),
    Row(
        "C29",
        "errors of chained 99 % modules accumulate; end-to-end does better",
        "",
        (
            (
                "tests/coverage/test_workflows.py::"
                "test_errors_of_modules_of_99_percent_accumulate_and_end_to_end_does_better"
            ),
            "examples/pipeline.py",
            "tests/examples/test_programs.py::test_a_slow_program[pipeline]",
        ),
    ),
    Row(
        "C30",
        "deep beats wide at equal parameters",
        "",
        (
            "tests/coverage/test_training.py::test_deep_beats_wide_at_equal_numbers_of_parameters",
            "examples/wide_and_deep.py",
            "tests/examples/test_programs.py::test_a_slow_program[wide_and_deep]",
        ),
    ),
)
