"""Operations."""

from __future__ import annotations

from tests.coverage.row import Row

ROWS = (
    Row(
        "O01",
        "add, subtract, negate",
        "values, broadcast, gradient",
        (
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[add]",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[subtract]",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[negative]",
            "tests/coverage/test_operations.py::test_gradients_of_what_was_broadcast_are_summed",
        ),
    ),
    Row(
        "O02",
        "multiply, element-wise product",
        "shape analysis of the terms",
        (
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[multiply]",
            "tests/inspect/test_explain_grad.py::test_every_use_is_a_term",
        ),
    ),
    Row(
        "O03",
        "divide, reciprocal 2/c",
        "gradient −2/c²",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_a_number_over_c_has_the_slope_minus_the_number_over_c_squared"
            ),
        ),
    ),
    Row(
        "O04",
        "power, square",
        "also non-integer exponents",
        (
            "tests/frontend/functions/test_powers.py::test_derivatives_of_powers",
            "tests/coverage/test_operations.py::test_a_power_that_is_no_integer",
        ),
    ),
    Row(
        "O05",
        "exp",
        "overflow edges",
        (
            "tests/coverage/test_operations.py::test_the_exponential_at_its_edges",
            "tests/ir/ops/test_every_op.py::test_special_values",
        ),
    ),
    Row(
        "O06",
        "log, log1p",
        "log 0 guarded in losses",
        (
            "tests/nn/test_more_losses.py::test_probabilities_of_0_and_1_have_finite_losses",
            "tests/nn/test_losses.py::test_cross_entropy_with_distributions",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[log1p]",
        ),
    ),
    Row(
        "O07",
        "sin, cos",
        "radians and degrees",
        (
            "tests/coverage/test_derivatives.py::test_the_worked_example_in_degrees_and_in_radians",
            "tests/frontend/functions/test_special_functions.py::test_angles_of_many_turns",
        ),
    ),
    Row(
        "O08",
        "sqrt",
        "gradient at 0",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_the_slope_of_a_root_at_0_is_infinite_unless_it_is_not_asked_for"
            ),
        ),
    ),
    Row(
        "O09",
        "matmul",
        "every rank and transposition",
        (
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[matmul]",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[matmul broadcast]",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[vector @ matrix]",
            (
                "tests/frontend/autodiff/test_function_gradients.py::test_differences[matmul "
                "transposed]"
            ),
        ),
    ),
    Row(
        "O10",
        "dot product",
        "gradient is the other vector",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_the_gradient_of_a_dot_product_is_the_other_vector"
            ),
        ),
    ),
    Row(
        "O11",
        "outer product",
        "∂l/∂W = l_k·xᵀ fused into GEMM",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_the_gradient_of_weights_is_an_outer_product_and_of_a_batch_one_product"
            ),
        ),
    ),
    Row(
        "O12",
        "transpose",
        "free (view) in the plan",
        (
            "tests/coverage/test_operations.py::test_another_shape_takes_no_kernel",
            (
                "tests/compiler/passes/test_absorb_permutes.py::"
                "test_gradient_of_a_transposed_weight_needs_no_transpose"
            ),
        ),
    ),
    Row(
        "O13",
        "bias broadcast add",
        "gradient sums over batch",
        ("tests/coverage/test_operations.py::test_gradients_of_what_was_broadcast_are_summed",),
    ),
    Row(
        "O14",
        "sum, mean over any axes",
        "gradient broadcasts; 3× cost claim",
        (
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[sum of axes]",
            "tests/frontend/autodiff/test_function_gradients.py::test_differences[mean]",
            "tests/frontend/autodiff/test_gradient_cost.py::test_gradients_cost_little",
        ),
    ),
    Row(
        "O15",
        "max, argmax",
        "tie rule documented",
        (
            "tests/frontend/autodiff/test_function_gradients.py::test_ties_of_max_share_evenly",
            "tests/nn/test_losses.py::test_accuracy_counts_the_first_of_equal_logits",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[argmax]",
        ),
    ),
    Row(
        "O16",
        "variance / standard deviation",
        "one-pass stable",
        (
            "tests/ir/loops/test_combine.py::test_moments",
            "tests/nn/test_normalization.py::test_the_variance_of_values_far_from_zero",
            "tests/frontend/autodiff/test_function_gradients.py::test_std_of_equal_numbers_is_flat",
        ),
    ),
    Row(
        "O17",
        "norms L1, L2, Lp",
        "gradient at 0 defined",
        (
            "tests/linalg/test_gradients.py::test_norms_have_gradient_zero_at_zero",
            "tests/linalg/test_degenerate.py::test_vector_norms_at_elements_of_zero",
        ),
    ),
    Row(
        "O18",
        "reshape, flatten",
        "view",
        (
            "tests/coverage/test_operations.py::test_another_shape_takes_no_kernel",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[reshape]",
        ),
    ),
    Row(
        "O19",
        "concatenate",
        "inception output",
        (
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[concat]",
            "tests/nn/test_more_layers.py::test_inception_joins_four_branches",
        ),
    ),
    Row(
        "O20",
        "pad (zeros, fixed value)",
        "floor(k/2) rule",
        (
            "tests/frontend/functions/test_padding.py::test_pad",
            "tests/coverage/test_operations.py::test_padding_by_half_the_window_keeps_the_size",
        ),
    ),
    Row(
        "O21",
        "slice, stack, split",
        "gates of LSTM",
        (
            "tests/frontend/functions/test_functions.py::test_index",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[split]",
            "tests/frontend/functions/test_functions.py::test_same_as_numpy[stack]",
            "tests/ir/loops/test_seven_kernels.py::test_lstm_step",
        ),
    ),
    Row(
        "O22",
        "ReLU and its indicator derivative",
        "value at 0 documented",
        (
            "tests/nn/test_activations.py::test_gradient_at_zero",
            "tests/nn/test_activations.py::test_relu_needs_only_its_result_for_the_gradient",
        ),
    ),
    Row(
        "O23",
        "sigmoid",
        "a(1−a) ≤ ¼, stable form",
        (
            "tests/coverage/test_operations.py::test_a_sigmoid_is_no_steeper_than_a_quarter",
            "tests/nn/test_activations.py::test_extreme_values",
        ),
    ),
    Row(
        "O24",
        "tanh",
        "1−tanh²",
        ("tests/coverage/test_operations.py::test_the_slope_of_tanh",),
    ),
    Row(
        "O25",
        "softmax",
        "columns = samples quiz; ×10, ÷10",
        (
            (
                "tests/coverage/test_operations.py::"
                "test_softmax_of_ten_times_and_a_tenth_of_the_scores"
            ),
            "tests/nn/test_activations.py::test_softmax_does_not_overflow",
        ),
    ),
)
