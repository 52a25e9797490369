"""Names and files of artifacts: inside of the folder, whole, and for their owner only."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.artifacts.file_names import artifact_path, safe_file_name
from batchrunner.artifacts.media_types import media_type_of
from batchrunner.artifacts.target_file import BadPath, PartialFile, TargetExists
from batchrunner.model.artifacts import ArtifactKind, WantedArtifact

PLACE = ("prices", "lamp", "1-step-001")


def on_a_mac(name: str) -> str:
    """Return what a file system takes for one that knows neither capitals nor compositions."""
    return unicodedata.normalize("NFD", name).casefold()


@given(st.text(max_size=300))
def test_a_name_is_one_part_of_a_path_whatever_the_key(key: str) -> None:
    name = safe_file_name(key)
    assert len(name.encode("utf-8")) <= 200
    assert name == Path(name).name
    assert not name.startswith((".", " ", "-"))
    assert not name.endswith((".", " "))
    assert name.isprintable()


@given(st.text(max_size=80), st.text(max_size=80))
def test_different_keys_have_different_names_on_every_file_system(one: str, two: str) -> None:
    if one != two:
        assert on_a_mac(safe_file_name(one)) != on_a_mac(safe_file_name(two))


@pytest.mark.parametrize("pair", [("Lamp", "lamp"), ("é", "e\u0301"), ("a/b", "a-b"), ("a", "a ")])
def test_keys_that_look_alike_do_not_meet(pair: tuple[str, str]) -> None:
    assert on_a_mac(safe_file_name(pair[0])) != on_a_mac(safe_file_name(pair[1]))


@pytest.mark.parametrize(
    "key", ["con", "NUL", "com1.txt", "..", ".", "", "/etc/passwd", "..\\x", "a.", "a\0b", "\ud800"]
)
def test_names_that_mean_something_elsewhere_get_a_digest(key: str) -> None:
    assert "~" in safe_file_name(key)


def test_a_plain_key_is_its_own_name() -> None:
    wanted = WantedArtifact(
        attempt_id=1,
        kind=ArtifactKind.HTML,
        step=7,
        name="s",
        run_id="r",
        batch="prices",
        key="lamp-7.b",
        number=2,
        recorded=False,
    )
    assert artifact_path(wanted) == ("prices", "lamp-7.b", "2-step-007")


# ---- files ----


def test_a_file_appears_when_it_is_whole_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    root = tmp_path / "captured"
    part = PartialFile(root, PLACE)
    part.write(b"pic")
    assert not list(root.rglob("*.jpg"))
    part.write(b"ture")
    path = Path(part.keep(".jpg"))
    assert (path, path.read_bytes()) == (root / "prices/lamp/1-step-001.jpg", b"picture")
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, *path.parents[:3])]
    assert modes == [0o600, 0o700, 0o700, 0o700]
    assert [each.name for each in path.parent.iterdir()] == ["1-step-001.jpg"]


def test_a_part_that_is_dropped_leaves_what_was_there(tmp_path: Path) -> None:
    old = PartialFile(tmp_path, PLACE)
    old.write(b"old")
    path = Path(old.keep(".jpg"))
    new = PartialFile(tmp_path, PLACE)
    new.write(b"half")
    new.drop()
    new.drop()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"


def test_what_a_dead_process_left_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "prices" / "lamp"
    folder.mkdir(parents=True)
    (folder / ".1-step-001.part").write_bytes(b"half of it, and more than comes now")
    part = PartialFile(tmp_path, PLACE)
    part.write(b"new")
    assert Path(part.keep(".jpg")).read_bytes() == b"new"


def test_one_file_is_written_by_one_at_a_time(tmp_path: Path) -> None:
    part = PartialFile(tmp_path, PLACE)
    with pytest.raises(TargetExists):
        PartialFile(tmp_path, PLACE)
    part.write(b"mine")
    assert Path(part.keep(".jpg")).read_bytes() == b"mine"


@pytest.mark.parametrize("at", ["prices", "prices/lamp"])
def test_a_link_on_the_way_leads_nowhere(tmp_path: Path, at: str) -> None:
    root, elsewhere = tmp_path / "captured", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / at).parent.mkdir(parents=True, exist_ok=True)
    (root / at).symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"prices|lamp"):
        PartialFile(root, PLACE)
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_the_part_leads_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    folder = tmp_path / "prices" / "lamp"
    folder.mkdir(parents=True)
    (folder / ".1-step-001.part").symlink_to(target)
    with pytest.raises(OSError, match="part"):
        PartialFile(tmp_path, PLACE)
    (folder / ".1-step-001.part").unlink()
    os.link(target, folder / ".1-step-001.part")
    with pytest.raises(OSError, match="no file of ours"):
        PartialFile(tmp_path, PLACE)
    assert target.read_text() == "kept"


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    folder = tmp_path / "prices" / "lamp"
    folder.mkdir(parents=True)
    (folder / "1-step-001.jpg").symlink_to(target)
    part = PartialFile(tmp_path, PLACE)
    part.write(b"picture")
    path = Path(part.keep(".jpg"))
    assert (path.is_symlink(), path.read_bytes(), target.read_text()) == (False, b"picture", "kept")


@pytest.mark.parametrize(
    ("kind", "head", "media"),
    [
        (ArtifactKind.SCREENSHOTS, b"\x89PNG\r\n\x1a\n", "image/png"),
        (ArtifactKind.SCREENSHOTS, b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (ArtifactKind.SCREENSHOTS, b"RIFF\0\0\0\0WAVE", None),
        (ArtifactKind.HTML, b"\xef\xbb\xbf \n<!DOCTYPE html>", "text/html"),
        (ArtifactKind.HTML, b"MZ<html>", None),
        (ArtifactKind.HTML, b"<\0h\0t\0m\0l\0", None),
        (ArtifactKind.VIDEO, b"\x1aE\xdf\xa3webm", "video/webm"),
        (ArtifactKind.VIDEO, b"\xff\xd8\xff\xe0", None),
    ],
)
def test_a_type_is_recognized_by_the_bytes(
    kind: ArtifactKind, head: bytes, media: str | None
) -> None:
    assert media_type_of(kind, head) == media


# ---- paths that cannot be used ----


def folder_in_the_place_of_the_file(folder: Path) -> None:
    (folder / "1-step-001.jpg" / "inside").mkdir(parents=True)


def pipe_in_the_place_of_the_part(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / ".1-step-001.part")


def folder_in_the_place_of_the_part(folder: Path) -> None:
    (folder / ".1-step-001.part").mkdir(parents=True)


def link_in_the_place_of_the_folder(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.symlink_to("/nowhere")


def link_to_itself(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.symlink_to(folder.name)


def file_in_the_place_of_the_folder(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")


BAD_PATHS = (
    folder_in_the_place_of_the_file,
    pipe_in_the_place_of_the_part,
    folder_in_the_place_of_the_part,
    link_in_the_place_of_the_folder,
    link_to_itself,
    file_in_the_place_of_the_folder,
)


def write_whole(root: Path, place: tuple[str, str, str]) -> str:
    part = PartialFile(root, place)
    try:
        part.write(b"picture")
        return part.keep(".jpg")
    finally:
        part.drop()


@pytest.mark.parametrize("plant", BAD_PATHS)
def test_a_bad_path_is_told_from_a_bad_disk(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    plant(tmp_path / "prices" / "lamp")
    with pytest.raises(BadPath, match=r"its path cannot be used: .*lamp"):
        write_whole(tmp_path, PLACE)
    assert Path(write_whole(tmp_path, ("prices", "chair", "1-step-001"))).read_bytes() == b"picture"


def test_a_name_that_is_too_long_for_the_file_system_is_a_bad_path(tmp_path: Path) -> None:
    with pytest.raises(BadPath, match="too long"):
        write_whole(tmp_path, ("prices", "k" * 300, "1-step-001"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE])
def test_a_full_or_vanished_disk_is_no_bad_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    part = PartialFile(tmp_path, PLACE)

    def broken(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(OSError, match=r".") as caught:
        part.write(b"picture")
    part.drop()
    assert (type(caught.value), caught.value.errno) == (OSError, code)
