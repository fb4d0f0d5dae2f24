import numpy as np
import pytest

from moving import SIZE_HW, disc, instances
from sparseinst import Instances
from sparseinst.drawing.palette import color_of
from sparseinst.errors import InputError
from sparseinst.video.trails import Trails
from sparseinst.video.zone_counter import ZoneCounter
from sparseinst.video.zones import Zone, parse_zone

CLASSES = ("cell", "debris")


def walk(zones: list[str], xs: list[float], *, label: int = 0) -> ZoneCounter:
    counter = ZoneCounter([parse_zone(zone) for zone in zones], SIZE_HW, CLASSES)
    for x in xs:
        counter.update(instances(np.array([disc(x, 80, 8)]), [0.9], [label]), np.array([1]))
    return counter


def test_zones_are_parsed() -> None:
    assert parse_zone("gate=line:1,2,3,4") == Zone("gate", "line", ((1, 2), (3, 4)))
    assert parse_zone("polygon:0,0,9,0,9,9").name == "polygon:0,0,9,0,9,9"
    assert parse_zone("gate=line:1,2,3,4").title == "gate: " and parse_zone("line:1,2,3,4").title == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "line",
        "line:1,2,3",
        "line:1,2,1,2",
        "line:1,2,3,4,5,6",
        "polygon:0,0,1,1",
        "circle:1,2,3,4",
        "line:a,nan,c,inf",
    ],
)
def test_what_is_no_zone(text: str) -> None:
    with pytest.raises(InputError, match="expected line:"):
        parse_zone(text)


def test_a_line_counts_each_crossing_once() -> None:
    path = list(range(60, 180, 10))
    there = walk(["gate=line:120,160,120,0"], path).counts()[0]
    back = walk(["gate=line:120,160,120,0"], path + path[::-1], label=1).counts()[0]
    assert there == {"zone": "gate", "kind": "line", "in": {}, "out": {"cell": 1}}
    assert walk(["gate=line:120,0,120,160"], path).counts()[0] == there | {"in": {"cell": 1}, "out": {}}
    assert back["in"] == {"debris": 1} == back["out"]


def test_what_is_hidden_while_it_crosses_counts() -> None:
    counter = ZoneCounter([parse_zone("line:120,0,120,160")], SIZE_HW, CLASSES)
    counter.update(instances(np.array([disc(90, 80, 8)]), [0.9]), np.array([1]))
    for _ in range(5):
        counter.update(Instances.empty(SIZE_HW), np.zeros(0, np.int64))
    counter.update(instances(np.array([disc(150, 80, 8)]), [0.9]), np.array([1]))
    assert counter.counts()[0]["in"] == {"cell": 1}


@pytest.mark.parametrize("zone", ["line:0,0,241,0", "polygon:0,0,-1,0,9,9", "polygon:0,0,200000,0,200000,200000"])
def test_zones_lie_in_the_picture(zone: str) -> None:
    with pytest.raises(InputError, match="240 x 160"):
        ZoneCounter([parse_zone(zone)], SIZE_HW, CLASSES)


def test_a_polygon_counts_objects_inside() -> None:
    zone = "polygon:100,40,140,40,140,120,100,120"
    assert walk([zone], [60, 110]).counts()[0] | {"zone": ""} == {
        "zone": "", "kind": "polygon", "now": 1, "total": {"cell": 1},
    }  # fmt: skip
    assert walk([zone], [60, 110, 120, 170]).counts()[0]["now"] == 0
    assert walk([zone], [60, 110, 60, 110]).counts()[0]["total"] == {"cell": 1}
    assert walk([zone], [60, 80]).counts()[0]["total"] == {}


def test_what_has_no_id_is_not_counted() -> None:
    counter = ZoneCounter([parse_zone("polygon:0,0,200,0,200,150,0,150")], SIZE_HW, CLASSES)
    counter.update(instances(np.array([disc(60, 80, 8)]), [0.9]), np.array([0]))
    assert counter.counts()[0]["now"] == 0


def test_zones_and_counts_are_drawn() -> None:
    picture = np.zeros((*SIZE_HW, 3), np.uint8)
    drawn = walk(["line:120,0,120,159"], [60, 180]).draw(picture)
    assert not picture.any() and (drawn[:, 119:122] == 255).all(2).mean() > 0.2


def test_trails_follow_objects_in_their_colour_and_fade() -> None:
    trails, picture = Trails(length=5), np.zeros((*SIZE_HW, 3), np.uint8)
    for x in (20, 60, 100):
        trails.update(instances(np.array([disc(x, 80, 6)]), [0.9]), np.array([7]))
    drawn = trails.draw(picture)
    assert not picture.any() and np.abs(drawn[80, [40, 80]].astype(int) - color_of(7)).max() < 30  # smooth edges
    for _ in range(5):
        trails.update(instances(np.array([disc(200, 20, 6)]), [0.9]), np.array([0]))
    assert not trails.draw(picture).any()
