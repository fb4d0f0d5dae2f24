import torch

from sparseinst.modeling.seeds.assignment import NEAR, answering, assign, geometry, levels_of


def disc(y: float, x: float, radius: float, size: int = 32) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (((rows - y) ** 2 + (columns - x) ** 2).sqrt() <= radius).float()


def test_a_disc_is_announced_at_its_centroid() -> None:
    cells = torch.stack([disc(10, 20, 5), disc(25, 6, 3)])
    places = geometry(cells)
    torch.testing.assert_close(places.y, torch.tensor([10.0, 25.0]))
    torch.testing.assert_close(places.x, torch.tensor([20.0, 6.0]))
    assert ((places.diameter - torch.tensor([10.0, 6.0])).abs() < 1).all()
    found = assign(cells, places, torch.tensor([0, 1]), step=1)
    assert found.centre.tolist() == [10 * 32 + 20, 25 * 32 + 6]
    assert found.closeness.flatten(1).max(1).values.tolist() == [1, 1]
    assert found.closeness.flatten(1).argmax(1).tolist() == found.centre.tolist()


def test_a_ring_is_announced_on_itself_and_not_in_its_hole() -> None:
    ring = disc(15, 15, 9) - disc(15, 15, 6)
    found = assign(ring[None], geometry(ring[None]), torch.tensor([0]), step=1)
    assert ring.flatten()[found.centre] == 1


def test_an_object_that_fills_no_cell_is_announced_where_it_covers_most() -> None:
    faint = torch.zeros(1, 8, 8)
    faint[0, 3, 4], faint[0, 3, 5] = 0.3, 0.1
    assert assign(faint, geometry(faint), torch.tensor([0]), step=1).centre.tolist() == [3 * 8 + 4]


def test_larger_objects_belong_to_coarser_levels() -> None:
    diameters = torch.tensor([1.0, 4.0, 5.0, 8.0, 16.0, 200.0])
    assert levels_of(diameters, 3).tolist() == [0, 0, 0, 1, 2, 2]
    assert levels_of(diameters, 1).tolist() == [0] * 6


def test_a_coarse_level_announces_the_same_place() -> None:
    cells = disc(15.5, 19.5, 8)[None]
    found = assign(cells, geometry(cells), torch.tensor([0]), step=4)
    assert divmod(int(found.centre), 8) == (3, 4) or divmod(int(found.centre), 8) in ((3, 5), (4, 4), (4, 5))
    assert found.closeness.shape == (1, 8, 8)


def test_cells_near_a_centre_are_drawn_from_its_surroundings_alone() -> None:
    cells = disc(10, 20, 6)[None]
    found = assign(cells, geometry(cells), torch.tensor([0]), step=1)
    near = answering(found, 50)
    assert near.shape == (1, 50)
    assert near[0, 0] == found.centre
    assert answering(found, 1).tolist() == [found.centre.tolist()]
    assert (found.closeness.flatten(1).gather(1, near) > NEAR).all()
    assert len(near.unique()) > 5
