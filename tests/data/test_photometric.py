import numpy as np
import torch

from sparseinst.data.photometric import Photometric


def picture(seed: int = 0) -> torch.Tensor:
    """Dim blobs on a dark ground, grey."""
    random = torch.Generator().manual_seed(seed)
    grey = torch.randint(10, 30, (1, 40, 50), generator=random)
    grey[:, 10:20, 10:25] += 60
    return grey.expand(3, -1, -1).to(torch.uint8).contiguous()


def test_without_strength_nothing_changes() -> None:
    assert torch.equal(Photometric(0.0)(picture()), picture())


def test_the_same_random_numbers_give_the_same_image() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        results.append([Photometric(1.0)(picture()) for _ in range(10)])
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_images_keep_their_form_and_objects_stay_visible() -> None:
    torch.manual_seed(0)
    inverted = coloured = changed = 0
    for _ in range(200):
        image = Photometric(1.0)(picture())
        assert image.shape == (3, 40, 50) and image.dtype == torch.uint8 and image.is_contiguous()
        values = image.numpy().astype(float)
        inside, outside = values[:, 12:18, 12:23].mean((1, 2)), values[:, 25:, 30:].mean((1, 2))
        contrast = np.abs(inside - outside).max()
        assert contrast > 4
        inverted += bool((inside < outside).all())
        coloured += bool(np.ptp(values.mean((1, 2))) > 5)
        changed += not torch.equal(image, picture())
    assert 10 < inverted < 100
    assert 10 < coloured < 80
    assert changed > 100
