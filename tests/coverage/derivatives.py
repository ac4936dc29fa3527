"""Differentiation."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "D01",
        "Chain rule; second graph derived automatically from the first",
        "dot dump shows both graphs",
        (
            (
                "tests/coverage/test_derivatives.py::"
                "test_the_backward_half_of_a_step_is_a_graph_beside_the_first"
            ),
            "tests/inspect/test_dot.py::test_parts_are_clusters_with_colours_of_their_own",
        ),
    ),
    Row(
        "D02",
        "Multivariate chain rule (diamond), (a×b)+b",
        "contributions summed",
        (
            "tests/coverage/test_derivatives.py::test_two_ways_to_one_value_add_up",
            "tests/frontend/autodiff/test_reverse.py::test_contributions_of_several_uses_add_up",
        ),
    ),
    Row(
        "D03",
        "Weight sharing: gradients added over positions",
        "conv and RNN",
        (
            "tests/coverage/test_operations.py::test_a_convolution_of_a_line_shares_its_weights",
            (
                "tests/coverage/test_derivatives.py::"
                "test_a_weight_that_is_used_at_every_step_gathers_all_slopes"
            ),
        ),
    ),
    Row(
        "D04",
        "VJP without explicit Jacobian; gradient has the shape of the tensor; loss must be scalar",
        "clear error for non-scalar loss",
        (
            "tests/frontend/autodiff/test_reverse.py::test_loss_must_be_scalar",
            "tests/frontend/autodiff/test_reverse.py::test_vjp_takes_structured_cotangents",
            "tests/frontend/autodiff/test_reverse.py::test_matmul_gradient_against_numpy",
        ),
    ),
    Row(
        "D05",
        "f(x)=2/sin(e^−x), x=−4.499 worked example",
        "note: slide numbers hold for sine **in degrees** (sin 90=1); provide both",
        ("tests/coverage/test_derivatives.py::test_the_worked_example_in_degrees_and_in_radians",),
    ),
    Row(
        "D06",
        "Caching forward values; memory vs time; recompute alternative",
        "planner report; remat knob",
        (
            "tests/inspect/test_report.py::test_memory_of_a_training_step",
            "tests/coverage/test_derivatives.py::test_kept_values_are_what_memory_grows_by",
            "tests/frontend/functions/test_scan.py::test_checkpoints_save_memory",
        ),
    ),
    Row(
        "D07",
        "Backward ≈ 2× memory and 2× compute; gradient ≈ 3× forward",
        "cost report per graph",
        (
            "tests/frontend/autodiff/test_gradient_cost.py::test_gradients_cost_little",
            "tests/coverage/test_derivatives.py::test_kept_values_are_what_memory_grows_by",
        ),
    ),
    Row(
        "D08",
        "ReLU derivative 0/1 and at 0; dead ReLU",
        "documented choice; dead-unit detector",
        (
            "tests/nn/test_activations.py::test_gradient_at_zero",
            "tests/train/test_taps.py::test_dead_units_are_reported_with_their_layer_and_number",
        ),
    ),
    Row(
        "D09",
        "Dropout: backprop through the mask",
        "same mask both ways",
        ("tests/nn/test_layers.py::test_dropout_backward_uses_the_forward_mask",),
    ),
    Row(
        "D10",
        "Back-propagation through time, full and truncated",
        "scan gradient",
        (
            "tests/frontend/functions/test_scan.py::test_gradients",
            "tests/frontend/functions/test_scan.py::test_truncation_cuts_gradients",
            "tests/train/test_sequences.py::test_pieces_of_a_stream_are_truncated_back_propagation",
        ),
    ),
    Row(
        "D11",
        "Gradient checking",
        "`check_grad` built in",
        (
            "tests/frontend/autodiff/test_reverse.py::test_check_gradients_agrees_in_float64",
            "tests/frontend/autodiff/test_reverse.py::test_check_gradients_finds_a_wrong_gradient",
            "gx.check_gradients",
        ),
    ),
    Row(
        "D12",
        "Custom module with own backward function",
        "API",
        (
            "tests/frontend/autodiff/test_forward.py::test_custom_gradients_differentiate_again",
            "tests/frontend/autodiff/test_forward.py::test_straight_through",
            "gx.custom_gradient",
        ),
    ),
    Row(
        "D13",
        "Eager vs define-then-run engines",
        "documentation + eager debug interpreter",
        (
            "tests/runtime/test_interpret.py::test_eval_method",
            "tests/test_training_steps.py::test_agrees_with_the_interpreter",
        ),
    ),
    Row(
        "D14",
        "Numerically more fine-grained modules are less stable",
        "stability rewrites",
        (
            "tests/compiler/passes/test_stabilise.py::test_the_letter_of_them_does_fail",
            "tests/compiler/passes/test_stabilise.py::test_value",
        ),
    ),
    Row(
        "D15",
        "Hessian, curvature (100 M × 100 M impossible)",
        "Hessian-vector products",
        (
            (
                "tests/coverage/test_derivatives.py::"
                "test_a_curvature_takes_two_gradients_and_no_matrix"
            ),
            "tests/frontend/autodiff/test_forward.py::test_hvp_and_hessian",
        ),
    ),
    Row(
        "D16",
        "Gradient with respect to the input",
        "M40–M42",
        (
            "tests/coverage/test_networks.py::test_ten_layers_of_a_scaled_identity",
            "tests/inspect/test_explain_grad.py::test_a_layer",
            "examples/style_transfer.py",
            "tests/examples/test_programs.py::test_a_slow_program[style_transfer]",
            "examples/dreams.py",
        ),
    ),
    Row(
        "D17",
        "Gradient of ½‖x‖² is x",
        "test",
        ("tests/coverage/test_derivatives.py::test_half_a_squared_length_has_the_gradient_x",),
    ),
)
