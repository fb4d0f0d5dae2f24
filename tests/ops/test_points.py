import pytest
import torch
from torch import Tensor

from sparseinst.ops.losses import MaskLosses, mask_losses
from sparseinst.ops.points import point_losses

Case = tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]


def case(*, hw: tuple[int, int] = (8, 9), kind: torch.dtype = torch.float64) -> Case:
    """Images with two pairs of three targets, none, and one pair."""
    random = torch.Generator().manual_seed(0)
    masks = (3 * torch.randn(3, 4, *hw, generator=random, dtype=torch.float64)).to(kind).requires_grad_()
    targets = [torch.rand(count, *hw, generator=random, dtype=torch.float64).to(kind) for count in (3, 0, 1)]
    slots = [torch.tensor(image, dtype=torch.int64) for image in ([3, 0], [], [2])]
    matched = [torch.tensor(image, dtype=torch.int64) for image in ([0, 2], [], [0])]
    return masks, targets, slots, matched


def one(logits: Tensor, target: Tensor, *, points: int) -> MaskLosses:
    only = [torch.tensor([0])]
    return point_losses(logits[None, None], [target[None]], only, only, points=points)


def test_masks_of_one_value_are_worth_what_all_their_pixels_are() -> None:
    """Where it does not matter which pixels are drawn."""
    _, _, slots, matched = case()
    level = torch.tensor([-2.0, 0.3, 1.0, 4.0])[None, :, None, None]
    masks = (level * torch.tensor([1.0, 1.0, -1.0])[:, None, None, None]).expand(3, 4, 50, 50)
    targets = [torch.tensor([0.0, 0.5, 1.0])[:count, None, None].expand(-1, 50, 50) for count in (3, 0, 1)]
    torch.testing.assert_close(
        point_losses(masks, targets, slots, matched, points=10),
        mask_losses(masks, targets, slots, matched),
        rtol=1e-4,  # of dice, whose epsilon stands beside fewer pixels
        atol=1e-3,
    )


def test_iou_is_that_of_all_pixels() -> None:
    masks, *rest = case()
    sampled, whole = point_losses(masks, *rest, points=2), mask_losses(masks, *rest)
    torch.testing.assert_close(sampled.iou, whole.iou, rtol=1e-6, atol=0)


def test_gradient_is_that_of_the_losses_at_the_drawn_points() -> None:
    masks, *rest = case(hw=(3, 4))

    def losses(x: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        return point_losses(x, *rest, points=7)[:2]

    # Numeric differences must not change which pixels are the least sure.
    torch.autograd.gradcheck(losses, (masks,), eps=1e-7, atol=1e-4)


def test_at_most_the_points_of_matched_masks_have_a_gradient() -> None:
    masks, targets, slots, matched = case()
    losses = point_losses(masks, targets, slots, matched, points=5)
    (losses.entropy.sum() + losses.dice.sum()).backward()
    touched = masks.grad.flatten(2).count_nonzero(2)  # (B, N)
    for image, chosen in zip(touched, slots, strict=True):
        assert image.nonzero()[:, 0].tolist() == sorted(chosen.tolist())
    assert touched.max() <= 5


def test_most_points_are_where_the_mask_is_unsure() -> None:
    logits = torch.full((40, 40), 8.0)
    logits[:, :20] = 0.01  # half of the mask
    logits.requires_grad_()
    one(logits, torch.zeros(40, 40), points=400).entropy.sum().backward()
    # 3/4 of the points, drawn from the unsure ones, and half of the others; every point pulls by its probability.
    unsure = logits.grad[:, :20].sum() / 0.5025 / (1600 / 400)
    assert unsure.item() == pytest.approx(350, abs=35)


def test_every_pixel_may_be_drawn() -> None:
    logits = torch.full((4, 4), 8.0)
    logits[0, 0] = 0.0
    logits.requires_grad_()
    torch.manual_seed(0)
    one(logits, torch.zeros(4, 4), points=200).entropy.sum().backward()
    assert (logits.grad > 0).all()


def test_the_draw_follows_the_global_generator() -> None:
    masks, *rest = case()
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(point_losses(masks, *rest, points=6).entropy)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind: torch.dtype) -> None:
    masks, *rest = case(kind=kind)
    losses = point_losses(masks, *rest, points=6)
    assert {part.dtype for part in losses} == {torch.float32}
    (losses.entropy.sum() + losses.dice.sum()).backward()
    assert masks.grad.dtype == kind
    assert masks.grad.isfinite().all()


def test_no_pairs_give_no_losses_and_a_gradient_of_zero() -> None:
    masks = torch.randn(2, 3, 8, 8).requires_grad_()
    none = [torch.zeros(0, dtype=torch.int64)] * 2
    losses = point_losses(masks, [torch.zeros(0, 8, 8)] * 2, none, none, points=4)
    assert [len(part) for part in losses] == [0, 0, 0]
    (losses.entropy.sum() + losses.dice.sum()).backward()
    assert masks.grad is not None and not masks.grad.any()


def test_what_is_kept_for_the_gradient_does_not_grow_with_the_grid() -> None:
    kept = []
    for side in (32, 128):
        masks, *rest = case(hw=(side, side))
        own = {masks.untyped_storage().data_ptr()}
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor, own: set[int] = own, sizes: dict[int, int] = sizes) -> Tensor:
            if tensor.untyped_storage().data_ptr() not in own:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            point_losses(masks, *rest, points=16)
        kept.append(sum(sizes.values()))
    assert 0 < kept[0] == kept[1]
