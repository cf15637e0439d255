"""Flash images: what goes in comes out, and an unknown board is named."""

import pathlib

import pytest

from sim import image


def firmware(folder: pathlib.Path) -> pathlib.Path:
    (folder / "boards").mkdir(parents=True)
    (folder / "lib").mkdir()
    (folder / "boards" / "tag-a.json").write_text('{"name": "tag-a"}')
    (folder / "boards" / "other.json").write_text('{"name": "other"}')
    for name in ("boot.py", "main.py", "app.py", "lib/part.py"):
        (folder / name).write_text(f"name = {name!r}\n")
    return folder


def test_boot_and_main_stay_source_and_all_else_is_compiled(tmp_path):
    image.build(tmp_path / "a.img", "tag-a", {"ca.der": b"\0\1"}, firmware=firmware(tmp_path / "f"))
    files = image.read(tmp_path / "a.img")
    assert sorted(files) == ["app.mpy", "boards/tag-a.json", "boot.py", "ca.der", "lib/part.mpy", "main.py"]
    assert files["boot.py"] == b"name = 'boot.py'\n"
    assert files["lib/part.mpy"][:2] == b"M\x06"  # .mpy version 6
    assert files["ca.der"] == b"\0\1"


def test_an_update_adds_replaces_and_removes_and_leaves_the_rest(tmp_path):
    target = tmp_path / "a.img"
    image.build(target, "tag-a", {"config.json": b"old", "gone": b"x"}, firmware=firmware(tmp_path / "f"))
    before = image.read(target)
    image.update(target, {"config.json": b"new", "data/big": b"b" * 20_000, "gone": None})
    after = image.read(target)
    assert after.pop("config.json") == b"new"
    assert after.pop("data/big") == b"b" * 20_000
    assert (
        after.items()
        == {name: data for name, data in before.items() if name not in ("config.json", "gone")}.items()
    )
    assert target.stat().st_size == image.SIZE


def test_given_files_win_over_the_firmwares_own(tmp_path):
    image.build(tmp_path / "a.img", "tag-a", {"main.py": b"mine"}, firmware=firmware(tmp_path / "f"))
    assert image.read(tmp_path / "a.img")["main.py"] == b"mine"


def test_an_unknown_board_is_refused_with_the_list_of_those_that_exist(tmp_path):
    with pytest.raises(image.ImageError, match=r"unknown board 'tag-z'; there are: other, tag-a"):
        image.build(tmp_path / "a.img", "tag-z", {}, firmware=firmware(tmp_path / "f"))


def test_source_that_does_not_compile_is_named(tmp_path):
    source = firmware(tmp_path / "f")
    (source / "app.py").write_text("def (:\n")
    with pytest.raises(image.ImageError, match=r"app\.py"):
        image.build(tmp_path / "a.img", "tag-a", {}, firmware=source)


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 8192], ids=["missing", "empty", "blank"])
def test_what_is_no_image_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a.img").write_bytes(content)
    with pytest.raises(image.ImageError, match=r"a\.img"):
        image.read(tmp_path / "a.img")


def test_more_than_fits_is_an_error_and_not_half_an_image(tmp_path):
    with pytest.raises(image.ImageError, match="cannot write big"):
        image.build(
            tmp_path / "a.img", "tag-a", {"big": b"x" * image.SIZE}, firmware=firmware(tmp_path / "f")
        )
    assert not (tmp_path / "a.img").exists()
