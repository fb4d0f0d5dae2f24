"""A network with the heads that exist in training only, whose losses are added to the criterion's."""

import torch
from torch import Tensor, nn

from sparseinst.modeling.auxiliary_heads import Denoising, OneToMany, Scene, Semantic
from sparseinst.modeling.auxiliary_teacher import Distillation, Teacher
from sparseinst.modeling.decoder import Decoder
from sparseinst.modeling.model import SparseInst
from sparseinst.ops.masks import fill_padding
from sparseinst.recipe import AuxiliaryConfig, Recipe
from sparseinst.structures import Batch, Predictions

HEADS = ("semantic", "one_to_many", "denoising", "distillation")
"""Names of the heads, which are those of their weights in the settings, in the order of the log."""


def auxiliary_names(config: AuxiliaryConfig) -> tuple[str, ...]:
    """Names of the losses that are switched on, in a fixed order."""
    return tuple(f"loss_{name}" for name in HEADS if getattr(config, name) > 0)


class Auxiliary(nn.Module):
    """The heads that a recipe switches on; without any it gives no loss.

    Args:
        recipe: `auxiliary` says which, `loss` how their parts are weighed.
        network: that they help; not kept.
        teacher: the network to distil from, in float32 on its device; given exactly when the recipe distils.

    Raises:
        InputError: the teacher does not fit the network.
        ValueError: there is a teacher without distillation, or none with it.
    """

    def __init__(self, recipe: Recipe, network: SparseInst, *, teacher: SparseInst | None = None) -> None:
        super().__init__()
        config, loss, model = recipe.auxiliary, recipe.loss, network.config
        if (config.distillation > 0) != (teacher is not None):
            got = "none" if teacher is None else "one"
            raise ValueError(
                f"expected a teacher exactly when auxiliary.distillation is above 0, got {got} at "
                f"{config.distillation}: give both or neither"
            )
        heads: dict[str, nn.Module] = {}
        if config.semantic > 0:
            heads["semantic"] = Semantic(model.encoder.channels, classes=len(model.classes))
        if config.one_to_many > 0:
            heads["one_to_many"] = OneToMany(
                _decoder(network).activation.conv.in_channels, config=model.decoder, loss=loss, slots=config.slots,
                matches=config.matches,
            )  # fmt: skip
        if config.denoising > 0:
            heads["denoising"] = Denoising(loss, slots=model.decoder.slots)
        if teacher is not None:
            heads["distillation"] = Distillation(
                Teacher(teacher, model, frame_hw=recipe.augment.frame_hw),
                loss=loss,
                activation=model.decoder.activation,
            )
        self.heads = nn.ModuleDict(heads)
        self.weights: dict[str, float] = {name: getattr(config, name) for name in heads}

    def forward(self, scene: Scene) -> dict[str, Tensor]:
        """The weighted losses, named as `auxiliary_names` says."""
        return {f"loss_{name}": self.weights[name] * head(scene) for name, head in self.heads.items()}


class TrainingModel(nn.Module):
    """Network and auxiliary heads as one module, so that one wrapper for several processes sees all parameters.

    Args:
        network: computes exactly what it does alone.
        auxiliary: reads what the network has computed.
    """

    def __init__(self, network: SparseInst, auxiliary: Auxiliary) -> None:
        super().__init__()
        self.network, self.auxiliary = network, auxiliary

    def forward(self, batch: Batch, num_instances: Tensor, *, iteration: int) -> tuple[Predictions, dict[str, Tensor]]:
        """The network's predictions and the weighted losses of the auxiliary heads.

        Args:
            batch: on the network's device.
            num_instances: what losses are divided by; see `count_instances`.
            iteration: iterations done before.
        """
        decoder = _decoder(self.network)
        images = fill_padding(batch.images, batch.resized_hw, self.network.mean)
        features = self.network.encode(images.contiguous(memory_format=torch.channels_last))
        instance_features, mask_features = decoder.branches(features)
        slots, activation = decoder.activation(instance_features)
        predictions = Predictions(*decoder.heads(slots, mask_features), activation)
        scene = Scene(batch, num_instances, iteration, features, instance_features, mask_features, decoder, predictions)
        return predictions, self.auxiliary(scene)


def _decoder(network: SparseInst) -> Decoder:
    assert isinstance(network.decoder, Decoder)
    return network.decoder
