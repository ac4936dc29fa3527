"""Workflows."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "W01",
        "train / validation / test split",
        "seeded, stratified",
        (
            "tests/data/test_preparing.py::test_three_way",
            "tests/data/test_data.py::test_split_is_stratified_beyond_rounding",
            "gx.data.three_way",
        ),
    ),
    Row(
        "W02",
        "cross-validation",
        "via estimator API",
        (
            "tests/sklearn/test_estimators.py::test_search_and_pipeline",
            "tests/data/test_preparing.py::test_k_fold_deals_every_example_once",
        ),
    ),
    Row(
        "W03",
        "hyper-parameter search",
        "stacked runs",
        (
            "tests/nn/test_ensemble_rates.py::test_each_member_trains_at_its_rate",
            "tests/coverage/test_workflows.py::test_a_search_for_the_rate_is_one_run",
        ),
    ),
    Row(
        "W04",
        '"rule of 30" significance check',
        "in `evaluate` report",
        (
            "tests/coverage/test_training.py::test_a_change_of_fewer_than_30_samples_is_noise",
            "gx.evaluate",
        ),
    ),
    Row(
        "W05",
        "class-imbalance warning",
        "data report",
        (
            "tests/data/test_preparing.py::test_problems",
            "gx.data.check",
        ),
    ),
    Row(
        "W06",
        "four-step loop: sample, forward, backward, update",
        "tutorial",
        (
            "tests/docs/test_code_blocks.py::test_page",
            "examples/digits_mlp.py",
        ),
    ),
    Row(
        "W07",
        "epochs and random batch order",
        "Philox order",
        (
            "tests/runtime/test_function.py::test_an_epoch_is_shuffled_by_its_seed",
            "tests/train/test_fit.py::test_seed_and_shuffle",
        ),
    ),
    Row(
        "W08",
        "loss-vs-iteration plots (batch vs mini-batch noise)",
        "",
        (
            (
                "tests/plot/test_plot.py::"
                "test_history_has_a_panel_for_each_number_with_its_validation_and_best_epoch"
            ),
            (
                "tests/coverage/test_optimisers.py::"
                "test_the_curve_of_whole_batches_is_smooth_and_that_of_small_ones_is_not"
            ),
        ),
    ),
    Row(
        "W09",
        "babysitting aids (ranges, NaN, divergence)",
        "",
        (
            "tests/train/test_stop_on_nan.py::test_what_is_to_blame",
            "tests/train/test_first_bad_node.py::test_the_node_and_its_line",
            "tests/train/test_taps.py::test_tensorboard_has_numbers_rates_and_distributions",
        ),
    ),
    Row(
        "W10",
        "checkpoint every epoch, choose by validation",
        "",
        (
            "tests/train/test_fit.py::test_checkpoint_saves_the_best",
            "tests/train/test_preflight.py::test_a_checkpoint_for_every_epoch",
            "gx.callbacks.Checkpoint",
        ),
    ),
    Row(
        "W11",
        "automatic train / predict mode",
        "two entry points from one graph",
        (
            "tests/runtime/test_function.py::test_mode_switch_and_pending_updates",
            "tests/nn/test_normalization.py::test_fit_validates_with_the_running_statistics",
        ),
    ),
    Row(
        "W12",
        "`fit(epochs=15, batch_size=32, validation_split=1/6)`",
        "",
        (
            "tests/nn/test_layers.py::test_compile_and_fit",
            "tests/train/test_keras_habits.py::test_the_worksheet_runs_as_written",
        ),
    ),
    Row(
        "W13",
        "`compile(optimizer, loss, metrics)`",
        "",
        ("tests/train/test_keras_habits.py::test_the_worksheet_runs_as_written",),
    ),
    Row(
        "W14",
        "`summary()` with parameter counts",
        "",
        (
            "tests/inspect/test_report.py::test_layers_that_were_called_show_what_they_gave",
            "gx.summary",
        ),
    ),
    Row(
        "W15",
        "greedy, sampled and beam decoding with scores",
        "",
        (
            "tests/decode/test_decode.py::test_beams_find_better_sequences_than_greedy",
            "tests/decode/test_decode.py::test_samples_have_the_probabilities_of_the_model",
            "examples/language_model.py",
        ),
    ),
    Row(
        "W16",
        "embedding plot and nearest neighbours",
        "",
        (
            "tests/plot/test_plot.py::test_embedding_shows_principal_components_by_class",
            "tests/examples/test_language.py::test_words_used_alike_are_neighbours",
            "examples/word2vec.py",
        ),
    ),
    Row(
        "W17",
        "analogies (puppy−dog+cat, taller−tall+short)",
        "",
        (
            "tests/examples/test_language.py::test_analogies_are_counted",
            "examples/word2vec.py",
        ),
    ),
    Row(
        "W18",
        "shape analysis of each gradient term",
        "`explain_grad()`",
        (
            "tests/inspect/test_explain_grad.py::test_a_layer",
            "gx.explain_grad",
        ),
    ),
    Row(
        "W19",
        "memory sizing before training",
        "planner report",
        (
            "tests/inspect/test_report.py::test_memory_of_a_training_step",
            "tests/compiler/memory/test_plan.py::test_budget_error_names_what_is_alive",
        ),
    ),
    Row(
        "W20",
        "CPU first, GPU by a switch",
        "",
        (
            "tests/backends/cuda/test_whole_steps.py::test_twenty_steps",
            "tests/errors/test_calls.py::test_devices_of_targets",
        ),
    ),
    Row(
        "W21",
        "embedded deployment (Tegra)",
        "C export",
        (
            "tests/export/test_export.py::test_from_c",
            "tests/export/test_export.py::test_100_training_steps_have_the_same_bits",
        ),
    ),
    Row(
        "W22",
        "computation-graph drawing of every example",
        "dot/HTML",
        (
            "tests/inspect/test_dot.py::test_graphviz_draws_every_stage",
            "tests/inspect/test_page.py::test_page_is_whole_and_needs_nothing_else",
            "examples/common.py",
        ),
    ),
    Row(
        "W23",
        "mix, stitch and train end to end",
        "",
        (
            "tests/nn/test_ownership.py::test_one_set_of_weights_for_all_calls",
            "examples/pipeline.py",
            "tests/examples/test_programs.py::test_a_slow_program[pipeline]",
            "tests/examples/test_language.py::test_captions_say_what_is_seen",
        ),
    ),
    Row(
        "W24",
        "notebook assignments",
        "notebooks run in CI",
        (
            "tests/examples/test_notebooks.py::test_a_notebook_runs",
            "tests/examples/test_notebooks.py::test_they_reach_what_they_say",
            "examples/notebooks/1_logistic_regression.ipynb",
        ),
    ),
    Row(
        "W25",
        "leaderboard overfitting demonstration (public/private)",
        "script",
        (
            "examples/leaderboard.py",
            "tests/examples/test_programs.py::test_a_quick_program[leaderboard]",
        ),
    ),
    Row(
        "W26",
        "search the data set for inputs that excite a unit",
        "",
        (
            "tests/coverage/test_workflows.py::test_the_examples_that_excite_a_unit_are_found",
            "examples/dreams.py",
        ),
    ),
)
