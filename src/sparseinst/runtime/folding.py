"""Batch norms made part of the convolutions before them, in any network: what follows what is seen by running it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from sparseinst.ops.deform import DeformableConv
from sparseinst.ops.same import EvenSameConv

_CONVOLUTIONS = (nn.Conv2d, Conv2dSame, EvenSameConv, DeformableConv)
"""Linear in the weights that they hold; subclasses may normalise theirs first, so the type must match exactly."""
_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, BatchNormAct2d, SyncBatchNormAct)


@torch.no_grad()
def fold_norms(model: nn.Module, *example: Tensor) -> None:
    """Puts every batch norm that directly follows a convolution into it, leaving the norm's activation in its place.

    Args:
        model: in eval mode; changed in place.
        example: what to call it with once, to see what follows what.
    """
    left = {}
    for conv, norm in _pairs(model, example):
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        left[norm] = getattr(norm, "act", nn.Identity())
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in left:
                setattr(parent, name, left[child])


def _pairs(model: nn.Module, example: Sequence[Tensor]) -> Iterator[tuple[Any, Any]]:
    """Convolutions whose results are all read by one norm, which reads nothing else, and by nothing else."""
    reads = _Reads()
    convs = [m for m in model.modules() if type(m) in _CONVOLUTIONS and not m._forward_hooks]
    norms = [
        m for m in model.modules()
        if type(m) in _NORMS and not m._forward_hooks and getattr(m, "running_mean", None) is not None
    ]  # fmt: skip
    handles = [conv.register_forward_hook(reads.produced) for conv in convs]
    for norm in norms:
        handles += [norm.register_forward_pre_hook(reads.enter), norm.register_forward_hook(reads.leave)]
    try:
        with reads:
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    readers: defaultdict[nn.Module, list[list[nn.Module | None]]] = defaultdict(list)
    for conv, result in reads.results:
        readers[conv].append(reads.readers[id(result)])
    for conv, calls in readers.items():  # several calls where levels share a branch
        match calls[0]:
            case [nn.Module() as norm] if calls.count([norm]) == len(calls) == reads.entered[norm]:
                yield conv, norm


class _Reads(TorchFunctionMode):
    """Notes who reads which convolution's result: a norm, or (as None) any other function."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[tuple[nn.Module, Tensor]] = []  # kept alive, so that no two have the same id
        self.readers: dict[int, list[nn.Module | None]] = {}
        self.entered: Counter[nn.Module] = Counter()
        self.inside = False

    def produced(self, conv: nn.Module, _: Any, result: Tensor) -> None:
        self.results.append((conv, result))
        self.readers[id(result)] = []

    def enter(self, norm: nn.Module, args: tuple[Tensor]) -> None:
        self.inside = True
        self.entered[norm] += 1
        self._read(args[0], norm)

    def leave(self, *_: Any) -> None:
        self.inside = False

    def _read(self, value: Any, reader: nn.Module | None) -> None:
        if id(value) in self.readers:
            self.readers[id(value)].append(reader)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # What gives neither a tensor nor nothing (as assigning to a part does) only looks: at a shape, a type.
        looked = result is not None and not any(isinstance(leaf, Tensor) for leaf in tree_leaves(result))
        if not self.inside and not looked:
            for leaf in tree_leaves((args, kwargs)):
                self._read(leaf, None)
        return result
