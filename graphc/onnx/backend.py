"""graphc as a backend of the ONNX package: `onnx.backend.base`."""

from __future__ import annotations

import unittest
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, defs, helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.ir.types import Array
from graphc.onnx.errors import UnknownValueError
from graphc.onnx.model import load
from graphc.onnx.proto import element_number


class NotSupportedError(UnsupportedError, unittest.SkipTest):
    """What graphc does not do; the package's test runner reports the case as skipped."""


class PreparedModel(BackendRep):
    """A model to run repeatedly; `function` is its compiled function.

    Inputs that carry shapes, axes, pads or repeats are bound by value when it runs, and so are
    sizes that the graph needs to know; each combination is compiled once.
    """

    def __init__(self, model: ModelProto, target: str) -> None:
        self.model = model
        self.target = target
        stored = {t.name for t in model.graph.initializer}
        self.inputs = [i.name for i in model.graph.input if i.name not in stored]
        self.function: gx.CompiledFunction | None = None
        self._by_value: tuple[str, ...] = ()
        self._by_shape = False
        self._functions: dict[Any, gx.CompiledFunction] = {}
        self._find({})

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs for arrays in order or by name."""
        arrays = self._named(inputs)
        while True:
            function = self._find(arrays)
            if function is not None:
                break
        self.function = function
        result = function(**{n.name: arrays[n.name] for n in function.graph.inputs})
        return tuple(self._output(result, o) for o in self.model.graph.output)

    def _output(self, result: Mapping[str, Any], declared: ValueInfoProto) -> Any:
        """An array, or a list of them."""
        name = declared.name
        if not declared.type.HasField("sequence_type"):
            return np.asarray(result[name])
        count = sum(f"{name}_{i}" in result for i in range(len(result)))
        return [np.asarray(result[f"{name}_{i}"]) for i in range(count)]

    def _named(self, inputs: Any) -> dict[str, Array]:
        """Arrays by the names of the inputs."""
        if isinstance(inputs, Mapping):
            return {name: np.asarray(value) for name, value in inputs.items()}
        listed = inputs if isinstance(inputs, (Sequence, tuple)) else [inputs]
        if len(listed) != len(self.inputs):
            raise ArgumentError(
                f"onnx backend: the model has {len(self.inputs)} inputs, got {len(listed)}"
            )
        return {name: np.asarray(value) for name, value in zip(self.inputs, listed)}

    def _find(self, arrays: Mapping[str, Array]) -> gx.CompiledFunction | None:
        """The function for these inputs; None where one more fact must be taken from them."""
        if not arrays and (self._by_value or self._by_shape):
            return None
        values = {name: arrays[name] for name in self._by_value}
        shapes = {n: a.shape for n, a in arrays.items()} if self._by_shape else {}
        key = (
            tuple((n, a.shape, a.tobytes()) for n, a in values.items()),
            tuple(shapes.items()),
        )
        if key not in self._functions:
            try:
                self._functions[key] = self._compile(shapes, values)
            except UnknownValueError as error:
                self._take(error)
                return None
            except UnsupportedError as error:
                raise NotSupportedError(error.message, hint=error.hint) from error
        self.function = self._functions[key]
        return self.function

    def _take(self, error: UnknownValueError) -> None:
        """Note what must be known; raise where it cannot be taken from the inputs."""
        fresh = [n for n in error.inputs if n in self.inputs and n not in self._by_value]
        if not fresh and (not error.dims or self._by_shape):
            raise NotSupportedError(error.message, hint=error.hint) from error
        self._by_value = (*self._by_value, *fresh)
        self._by_shape = self._by_shape or not fresh

    def _compile(
        self, shapes: Mapping[str, Any], values: Mapping[str, Array]
    ) -> gx.CompiledFunction:
        model = load(self.model, shapes=shapes, values=values)
        return gx.compile(
            list(model.inputs.values()),
            dict(model.outputs),
            target=self.target,
            name="onnx",
        )


class GraphcBackend(Backend):
    """Runs ONNX models through graphc's compiler."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        """Load and compile a model."""
        if not cls.supports_device(device):
            raise NotSupportedError(f"onnx backend: device {device} is not supported")
        super().prepare(model, device, **kwargs)
        return PreparedModel(model, kwargs.get("target", "cpu"))

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of one node for arrays."""
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        arrays = [np.asarray(a) for a in inputs]
        given = [name for name in node.input if name]
        declared = [
            helper.make_tensor_value_info(name, element_number(a.dtype), a.shape)
            for name, a in zip(given, arrays)
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "node", declared, outputs)
        versions = {"opset_imports": [helper.make_opsetid(node.domain, version_of(node, kwargs))]}
        model = helper.make_model(graph, **versions)
        return PreparedModel(model, kwargs.get("target", "cpu")).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on a device such as "CPU"."""
        return bool(Device(device).type == DeviceType.CPU)


def version_of(node: NodeProto, arguments: Mapping[str, Any]) -> int:
    """The operator set of a single node: as asked for, or the newest."""
    if "opset_version" in arguments:
        return int(arguments["opset_version"])
    return (
        int(defs.get_schema(node.op_type, node.domain).since_version)
        if node.domain
        else (defs.onnx_opset_version())
    )


is_compatible = GraphcBackend.is_compatible
prepare = GraphcBackend.prepare
run_model = GraphcBackend.run_model
run_node = GraphcBackend.run_node
supports_device = GraphcBackend.supports_device
