"""Follow objects through a video, count them in and out over a line, and write who was where.

    python examples/track_and_count.py clip.mp4 [MODEL]

Writes tracks.csv: a row for each object of each frame. Needs the extra `video`.
"""

import csv
import sys
from pathlib import Path

from sparseinst import track
from sparseinst.video.zone_counter import ZoneCounter
from sparseinst.video.zones import parse_zone


def main(source: str, model: str) -> None:
    counter, seen = None, {}
    with Path("tracks.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "seconds", "id", "class", "score", "x", "y", "area"])
        for frame, found, ids, *_ in track(source, model=model):
            height, width = found.size_hw
            if counter is None:  # a line down the middle of the picture
                zone = parse_zone(f"middle=line:{width / 2},0,{width / 2},{height}")
                counter = ZoneCounter([zone], found.size_hw, found.classes)
            counter.update(found, ids)
            for name, score, box, area, number in zip(
                found.names, found.scores, found.boxes, found.areas, ids, strict=True
            ):
                if number:  # 0 is not confirmed yet
                    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
                    rows.writerow(
                        [frame.index, f"{float(frame.seconds):.3f}", number, name, f"{score:.3f}", x, y, area]
                    )
                    seen[int(number)] = name
    print(f"{len(seen)} objects, written to tracks.csv")
    for count in counter.counts() if counter else ():
        print(count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "nuclei")
