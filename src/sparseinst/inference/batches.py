"""Batches: prepared images through what runs the network, and what it says of each as instances."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from torch import Tensor

from sparseinst.activation import ActivationMaps, activation_maps
from sparseinst.data.prepare import Prepared, stack
from sparseinst.errors import InputError
from sparseinst.inference.limits import limited
from sparseinst.modeling.postprocess import select
from sparseinst.runtime.backends import Backend
from sparseinst.structures import Instances

Explained = tuple[Instances, ActivationMaps]
"""The instances of an image and, in the same order, their activation maps."""

_LOOKAHEAD = 4
"""Batches of images held at once: among them images of the same padded frame are found."""


class Batches:
    """Images are grouped by padded frame, so a result never depends on its batch mates beyond rounding.

    Args:
        backend: runs the network.
        size: images at once.
        score: lowest score to keep, 0..1.
        max_instances: most instances in an image; None keeps all.
        calls: batches at once, in threads; what is found does not depend on it.
    """

    def __init__(self, backend: Backend, *, size: int, score: float, max_instances: int | None, calls: int = 1) -> None:
        self.backend, self.size, self.score, self.max_instances = backend, size, score, max_instances
        self.calls = calls

    @property
    def lookahead(self) -> int:
        """How many images to prepare at once: several batches, so that equal frames meet; without batches the calls."""
        return self.calls if self.size == 1 else self.size * _LOOKAHEAD

    def found(self, prepared: Iterable[Prepared]) -> Iterator[Instances]:
        """Instances of each image, in their order; those whose mask is empty at the original size are left out."""
        for instances, _, _ in self._run(prepared):
            yield instances

    def explained(self, prepared: Iterable[Prepared]) -> Iterator[Explained]:
        """The same with the activation maps of the instances.

        Raises:
            InputError: the backend gives no activation maps.
        """
        decoder = self.backend.config.decoder
        for instances, logits, item in self._run(prepared):
            if logits is None:
                raise InputError(
                    f"expected a backend that gives activation maps, got {type(self.backend).__name__} without: "
                    "take the network itself (a preset or .safetensors), or export it with its activation maps"
                )
            yield (
                instances,
                activation_maps(
                    logits, instances.slots, item.frame, groups=decoder.groups, activation=decoder.activation
                ),
            )

    def _run(self, prepared: Iterable[Prepared]) -> Iterator[tuple[Instances, Tensor | None, Prepared]]:
        images = iter(prepared)
        with ThreadPoolExecutor(self.calls) as pool:
            run = pool.map if self.calls > 1 else map
            while window := list(islice(images, self.lookahead)):
                groups = list(self._of_one_frame(window))
                found: dict[int, tuple[Instances, Tensor | None]] = {}
                batches = [[window[index] for index in indices] for indices in groups]
                for indices, parts in zip(groups, run(self._batch, batches), strict=True):
                    found.update(zip(indices, parts, strict=True))
                for index, item in enumerate(window):
                    yield *found[index], item

    def _of_one_frame(self, prepared: Sequence[Prepared]) -> Iterator[list[int]]:
        groups: dict[tuple[int, int], list[int]] = {}
        for index, item in enumerate(prepared):
            groups.setdefault(item.frame.frame_hw, []).append(index)
        for group in groups.values():
            for start in range(0, len(group), self.size):
                yield group[start : start + self.size]

    def _batch(self, chosen: Sequence[Prepared]) -> list[tuple[Instances, Tensor | None]]:
        post, decoder = self.backend.config.postprocess, self.backend.config.decoder
        candidates = self.backend(*stack(chosen))
        selected = select(
            candidates,
            [item.frame for item in chosen],
            gate=post.gate,
            mask_threshold=post.mask_threshold,
            min_score=self.score,
            least_piece=post.least_piece,
        )
        found = []
        for place, (item, instances) in enumerate(zip(chosen, selected, strict=True)):
            kept = limited(instances, decoder, item.frame.frame_hw, self.max_instances)
            logits = None if candidates.activation is None else candidates.activation[place]
            found.append((kept[kept.areas > 0], logits))
        return found
