"""Runs a network with PyTorch: as it is, or rewritten for speed."""

import copy
import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from sparseinst.config.model import ModelConfig, for_whole_masks
from sparseinst.modeling.model import SparseInst, with_budget, with_max_instances
from sparseinst.modeling.postprocess import Segmenter
from sparseinst.modeling.seeds.decoder import SeedsDecoder
from sparseinst.modeling.seeds.selection import NEVER
from sparseinst.predictions import Candidates
from sparseinst.runtime.cuda_graphs import CudaGraphs, ShapeCache
from sparseinst.runtime.devices import is_auto, resolve_device
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.fields import ComputeFields
from sparseinst.runtime.rewrites import optimise
from sparseinst.runtime.windowed import WindowedSegmenter

_CALLS = 2
"""Where another runtime computes fields: or all cores but one wait while masks are grown."""
_MARGIN = 1e-3
"""Logits by which a seed may miss the gate and is still grown: no rounding loses one."""


class EagerBackend:
    """The PyTorch module as it is, in float32: what every other backend is compared with.

    Args:
        model: moved to the device and put in eval mode.
        device: "cpu", "cuda", "cuda:1", "mps" or a torch device; None is where the model is.
        activation: also give the logits of the activation maps (see `Predictor.explain`).

    Attributes:
        exported: of a network from an exported file, what that says about itself.
        calls_at_once: how many keep a processor busy.
    """

    exported: Exported | None = None
    calls_at_once = 1

    def __init__(
        self, model: SparseInst, *, device: str | torch.device | None = None, activation: bool = False
    ) -> None:
        self.device = resolve_device(model.mean.device if is_auto(device) else device)
        self.config: ModelConfig = model.config
        self.frame: tuple[int, int] | None = model.config.preprocess.frame_hw
        self._segmenter = self._segmenter_of(model, activation=activation).to(self.device).eval()
        self._run = self._runner(self._segmenter)

    @property
    def network(self) -> SparseInst:
        """What is run, not to be changed."""
        return self._segmenter.model

    def with_activation(self) -> Self:
        """The same network, that also gives the logits of the activation maps."""
        return self._with(self._segmenter_of(self._segmenter.model, activation=True))

    def with_max_instances(self, most: int) -> Self:
        """The same network of seeds, that finds up to this many instances in each image.

        Raises:
            InputError: less than 1, or a network of slots.
        """
        network = with_max_instances(self._segmenter.model, most)
        return self._with(self._segmenter_of(network, activation=self._segmenter.activation))

    def _with(self, segmenter: Segmenter) -> Self:
        other = copy.copy(self)
        other._segmenter, other.config = segmenter.eval(), segmenter.model.config
        other._run = self._runner(other._segmenter)
        return other

    def _segmenter_of(self, model: SparseInst, *, activation: bool) -> Segmenter:
        return Segmenter(model, activation=activation)

    def _runner(self, segmenter: Segmenter) -> Callable[[Tensor, Tensor], Candidates]:
        return segmenter

    @torch.inference_mode()
    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """Candidates of padded images (B, C, H, W) and their sizes within the frame (B, 2); they stay on the device."""
        return self._run(images.to(self.device, non_blocking=True), resized_hw.to(self.device, non_blocking=True))


class TorchBackend(EagerBackend):
    """A copy of the module rewritten for inference (see `optimise`): the same candidates, sooner.

    On a CPU, where shapes may follow the data, seeds that cannot pass the gate are left out: there are fewer
    candidates, all that matter, and their masks come as `Patches`.

    Args:
        model: in float32; it is left as it is, and changes made to it later are not seen.
        device: "cpu", "cuda", "cuda:1", "mps" or a torch device; None is where the model is.
        half: compute in 16 bits (float16, on a CPU bfloat16); scores and masks stay float32.
        compile: compile the network anew for each shape (`torch.compile`), for few shapes that come often.
        activation: also give the logits of the activation maps.
        cuda_graphs: on a GPU, capture each shape that comes again and replay it from then on. No GPU has run it yet:
            `benchmarks/gpu.py` compares.
        fields: of a network of seeds on a CPU, who computes what every cell says (see `runtime.fields`); None is
            PyTorch.
    """

    def __init__(
        self,
        model: SparseInst,
        *,
        device: str | torch.device | None = None,
        half: bool = False,
        compile: bool = False,
        activation: bool = False,
        cuda_graphs: bool = False,
        fields: ComputeFields | None = None,
    ) -> None:
        device = resolve_device(model.mean.device if is_auto(device) else device)
        network = optimise(model)
        if half:
            network.set_dtype(torch.bfloat16 if device.type == "cpu" else torch.float16)
        self._compile, self._cuda_graphs, self._fields = compile, cuda_graphs, fields
        self.calls_at_once = _CALLS if fields is not None and torch.get_num_threads() > 1 else 1
        self._follows_data = device.type == "cpu" and not compile and isinstance(network.decoder, SeedsDecoder)
        self._least = model.config.postprocess.gate
        if device.type != "cpu":
            network.config = for_whole_masks(network.config)
        super().__init__(network, device=device, activation=activation)

    def with_least_score(self, score: float) -> Self:
        """The same network where only instances of at least this score (0..1) are asked for.

        On a CPU it leaves out seeds that cannot reach it, for rescoring never raises a score.
        """
        if not self._follows_data:
            return self
        other = copy.copy(self)
        other._least = max(score, self.config.postprocess.gate)
        model, activation = self._segmenter.model, self._segmenter.activation
        return other._with(other._segmenter_of(model, activation=activation))

    def _segmenter_of(self, model: SparseInst, *, activation: bool) -> Segmenter:
        if not self._follows_data:
            return super()._segmenter_of(model, activation=activation)
        network = with_budget(model, least_logit=_least_logit(self._least))
        return WindowedSegmenter(network, activation=activation, least=self._least, fields=self._fields)

    def _runner(self, segmenter: Segmenter) -> Callable[[Tensor, Tensor], Candidates]:
        run = torch.compile(segmenter, dynamic=False) if self._compile else segmenter
        return ShapeCache(run, CudaGraphs(self.device)) if self._cuda_graphs else run


def _least_logit(score: float) -> float:
    """Of a seed's class, below which sqrt(class x IoU), at most sqrt(class), cannot be this score (0..1)."""
    share = score**2
    return max(math.log(share / (1 - share)) - _MARGIN, NEVER) if 0 < share < 1 else NEVER if share == 0 else -NEVER
