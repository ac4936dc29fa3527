"""Optimisers and schedules."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "P01",
        "batch gradient descent",
        "smooth cost curve",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_the_curve_of_whole_batches_is_smooth_and_that_of_small_ones_is_not"
            ),
        ),
    ),
    Row(
        "P02",
        "stochastic gradient descent",
        "noise grows as batch shrinks",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_the_noise_of_a_step_grows_as_the_batch_shrinks"
            ),
        ),
    ),
    Row(
        "P03",
        "mini-batch gradient descent (16–128; 1–1000)",
        "curly-brace notation example",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_the_noise_of_a_step_grows_as_the_batch_shrinks"
            ),
            "tests/runtime/test_function.py::test_an_epoch_is_shuffled_by_its_seed",
            "examples/digits_mlp.py",
        ),
    ),
    Row(
        "P04",
        "momentum (μ 0.5→0.99 annealed, v₀=0)",
        "both sign conventions",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_both_conventions_of_signs_and_both_forms_of_nesterov_agree"
            ),
            "tests/coverage/test_optimisers.py::test_momentum_is_annealed_from_a_half",
        ),
    ),
    Row(
        "P05",
        "Nesterov momentum (look-ahead and variable-transform forms)",
        "forms agree",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_both_conventions_of_signs_and_both_forms_of_nesterov_agree"
            ),
            "tests/optim/test_optimizers.py::test_twenty_steps_follow_the_paper[nesterov]",
        ),
    ),
    Row(
        "P06",
        "AdaGrad",
        "stalls in long runs",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_adagrad_stalls_in_long_runs_and_rmsprop_does_not"
            ),
        ),
    ),
    Row(
        "P07",
        "RMSProp (decay 0.99, ε 1e-7)",
        "optax parity",
        (
            "tests/optim/test_optimizers.py::test_twenty_steps_follow_the_paper[rmsprop]",
            "tests/coverage/test_parity.py::test_a_hundred_steps_are_those_of_optax[rmsprop]",
        ),
    ),
    Row(
        "P08",
        "Adam (β 0.9/0.995, bias correction on/off)",
        "optax parity",
        (
            "tests/optim/test_optimizers.py::test_twenty_steps_follow_the_paper[adam]",
            "tests/coverage/test_parity.py::test_a_hundred_steps_are_those_of_optax[adam]",
            (
                "tests/coverage/test_optimisers.py::"
                "test_the_bias_correction_of_adam_matters_in_early_steps_alone"
            ),
        ),
    ),
    Row(
        "P09",
        "AdaGrad + momentum",
        "composition API",
        (
            (
                "tests/optim/test_composition.py::test_twenty_steps_follow_the_formulas[adagrad and"
                " momentum]"
            ),
            "gx.optim.chain",
        ),
    ),
    Row(
        "P10",
        "Nesterov + adaptive (course project)",
        "composition API",
        (
            (
                "tests/optim/test_composition.py::test_twenty_steps_follow_the_formulas[momentum, "
                "Nesterov]"
            ),
            "tests/coverage/test_parity.py::test_a_hundred_steps_are_those_of_optax[nadam]",
            "gx.optim.chain",
        ),
    ),
    Row(
        "P11",
        "AdaDelta",
        "torch parity",
        (
            "tests/optim/test_optimizers.py::test_twenty_steps_follow_the_paper[adadelta]",
            "tests/coverage/test_parity.py::test_a_hundred_steps_are_those_of_torch[adadelta]",
        ),
    ),
    Row(
        "P12",
        "AdaMax",
        "torch parity",
        (
            "tests/optim/test_optimizers.py::test_twenty_steps_follow_the_paper[adamax]",
            "tests/coverage/test_parity.py::test_a_hundred_steps_are_those_of_torch[adamax]",
        ),
    ),
    Row(
        "P13",
        "Nadam",
        "torch parity",
        (
            "tests/optim/test_optimizers.py::test_twenty_steps_follow_the_paper[nadam]",
            "tests/coverage/test_parity.py::test_a_hundred_steps_are_those_of_torch[nadam]",
        ),
    ),
    Row(
        "P14",
        "Newton's method",
        "jumps to minimum of a quadratic",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_newton_jumps_and_bfgs_needs_as_many_steps_as_there_are_numbers"
            ),
            (
                "tests/optim/test_full_batch.py::"
                "test_newton_solves_a_quadratic_in_one_step_and_leaves_saddles"
            ),
        ),
    ),
    Row(
        "P15",
        "BFGS",
        "rank-1 updates",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_newton_jumps_and_bfgs_needs_as_many_steps_as_there_are_numbers"
            ),
            (
                "tests/optim/test_full_batch.py::"
                "test_a_narrow_valley_takes_about_as_many_steps_as_scipy"
            ),
        ),
    ),
    Row(
        "P16",
        "L-BFGS with line search, randomness off, full batch",
        "scipy parity; warns on stochastic nodes",
        (
            (
                "tests/optim/test_full_batch.py::"
                "test_a_narrow_valley_takes_about_as_many_steps_as_scipy"
            ),
            "tests/optim/test_full_batch.py::test_refusals",
        ),
    ),
    Row(
        "P17",
        "learning-rate step decay (×0.9 per epoch)",
        "",
        (
            "tests/optim/test_optimizers.py::test_schedules[staircase]",
            "gx.schedules.staircase",
        ),
    ),
    Row(
        "P18",
        "exponential decay",
        "",
        (
            "tests/optim/test_optimizers.py::test_schedules[exponential]",
            "gx.schedules.exponential",
        ),
    ),
    Row(
        "P19",
        "1/t decay",
        "",
        (
            "tests/optim/test_optimizers.py::test_schedules[inverse]",
            "gx.schedules.inverse_time",
        ),
    ),
    Row(
        "P20",
        "reduce on plateau",
        "",
        (
            "tests/train/test_fit.py::test_reduce_on_plateau",
            "tests/train/test_resume.py::test_reduce_on_plateau_lowers_the_rates_of_a_schedule",
            "gx.callbacks.ReduceOnPlateau",
        ),
    ),
    Row(
        "P21",
        "high rate first, then low",
        "plot",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_a_high_rate_begins_faster_and_ends_worse_and_lowering_it_has_both"
            ),
            "tests/plot/test_plot.py::test_compare_draws_one_number_of_each_run",
        ),
    ),
    Row(
        "P22",
        'learning-rate sweep plot ("never trust how quickly you learn")',
        "`lr_find()`",
        (
            (
                "tests/train/test_rate_finder.py::"
                "test_the_same_sweep_twice_and_the_stable_rate_of_a_parabola"
            ),
            "tests/train/test_rate_finder.py::test_the_picture",
            "gx.lr_find",
        ),
    ),
    Row(
        "P23",
        '"lower the learning rate first" hint',
        "message on divergence",
        (
            "tests/train/test_first_bad_node.py::test_the_node_and_its_line",
            "tests/train/test_stop_on_nan.py::test_it_stops_at_the_step",
        ),
    ),
    Row(
        "P24",
        "gradient clipping by norm",
        "",
        ("tests/optim/test_optimizers.py::test_clip_norm_scales_by_the_global_norm",),
    ),
    Row(
        "P25",
        "optimiser race on a narrow valley (trajectories)",
        "animation",
        (
            "examples/optimiser_race.py",
            "tests/examples/test_programs.py::test_a_quick_program[optimiser_race]",
            "tests/plot/test_plot.py::test_an_animation_is_a_gif_of_its_frames",
        ),
    ),
    Row(
        "P26",
        "many seeds reach like minima in larger nets",
        "stacked training",
        ("tests/coverage/test_training.py::test_seeds_reach_like_losses_in_larger_nets",),
    ),
    Row(
        "P27",
        "leaky counter vs window of past gradients (memory)",
        "state-size report",
        (
            (
                "tests/coverage/test_optimisers.py::"
                "test_averages_of_the_past_take_one_array_and_a_window_one_for_each_step"
            ),
        ),
    ),
    Row(
        "P28",
        "plain SGD is slowest of the set",
        "benchmark",
        (
            "tests/coverage/test_optimisers.py::test_plain_descent_is_the_slowest_of_the_set",
            "examples/optimiser_race.py",
            "tests/examples/test_programs.py::test_a_quick_program[optimiser_race]",
        ),
    ),
)
