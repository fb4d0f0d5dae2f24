"""Messages are one line that a terminal can show, whatever a stranger put into them."""

from hypothesis import given
from hypothesis import strategies as st

from sparseinst.errors import InputError, brief, listed


@given(st.text(), st.text(max_size=20000))
def test_any_value_is_told_in_one_printable_line(name: str, value: str) -> None:
    text = str(InputError(f"{name}: expected a name, got {value!r}: correct it"))
    assert text.isprintable() and len(text) <= 4000
    text.encode()


def test_quotes_are_cut_and_what_surrounds_them_stays() -> None:
    for quote in ("'", '"'):
        text = str(InputError(f"a.json: expected a name, got {quote}{'x' * 5000}{quote}: correct it"))
        assert len(text) < 300 and text.startswith("a.json: expected") and text.endswith(f"...{quote}: correct it")
    short = f"a.json: got {brief('y' * 190, most=200)}: correct it"
    assert str(InputError(short)) == short


def test_a_terminal_is_not_steered() -> None:
    text = str(InputError("a\x1b[2Jb.png: expected\nan image, got \ud800\x07: replace it"))
    assert text == r"a\x1b[2Jb.png: expected; an image, got \ud800\x07: replace it"


def test_long_names_in_a_list_keep_both_ends() -> None:
    cut = listed([f"/data/{'a' * 5000}/cell.png"])
    assert len(cut) == 200
    assert cut.startswith("/data/aaa") and cut.endswith("aaa/cell.png")
