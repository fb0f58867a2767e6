"""A device that is not the CPU but computes there, for code that must read its results.

A tensor of it holds one of the CPU. Operations that mix the two are errors, as on a GPU; what is
read back is counted. Importing this changes torch for the whole process.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from fake_device import DEVICE
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
#: They may have arguments of two devices.
_BETWEEN = (aten.copy_.default, aten._to_copy.default)
_READS = (aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default)


class DeviceTensor(Tensor):
    """A tensor of the device around one of the CPU."""

    _held: Tensor

    @staticmethod
    def __new__(cls: type["DeviceTensor"], inner: Tensor) -> "DeviceTensor":
        made: DeviceTensor = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=DEVICE
        )
        made._held = inner
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise RuntimeError(f"{func} ran outside of Computing()")


class Computing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is on, the device can be used; `reads` counts what came back to the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation on the CPU."""
        options = dict(kwargs or {})
        tensors = [x for x in tree_flatten((args, options))[0] if isinstance(x, Tensor)]
        there = [x for x in tensors if isinstance(x, DeviceTensor)]
        here = [x for x in tensors if not isinstance(x, DeviceTensor) and x.dim() > 0]
        if there and here and func not in _BETWEEN:
            raise RuntimeError(f"{func}: tensors of the CPU meet tensors of the device")
        target = bool(there)
        if options.get("device") is not None:
            target = torch.device(options["device"]).type == DEVICE.type
            options["device"] = "cpu"
        if func in _READS or (there and not target):
            self.reads += bool(there)
        if func is aten.copy_.default:
            target = isinstance(args[0], DeviceTensor)
            self.reads += bool(there) and not target
        wrappers = {id(x._held): x for x in there}

        def unwrap(value: Any) -> Any:
            return value._held if isinstance(value, DeviceTensor) else value

        def wrap(value: Any) -> Any:
            if not isinstance(value, Tensor) or not target:
                return value
            # In place operations give back what they were given.
            known = wrappers.get(id(value))
            return DeviceTensor(value) if known is None else known

        run: Callable[..., Any] = func
        return tree_map(wrap, run(*tree_map(unwrap, args), **tree_map(unwrap, options)))
