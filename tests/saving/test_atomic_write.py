# SPDX-License-Identifier: MIT
"""Replaced files: permissions, links, and several files at once."""

import errno
import os
import stat

import pytest

from tsanomaly._saving._atomic_write import (
    replace_file,
    replacing_together,
    resolve_target,
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder, in which files are made with all rights if nothing is said."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0)
    yield tmp_path
    os.umask(before)


def rights(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_a_new_file_has_at_no_time_wider_rights_than_the_old_one(mode, here):
    (here / "model").write_bytes(b"old")
    (here / "model").chmod(mode)
    seen = []

    def look(*_):
        seen.extend(rights(file) for file in here.glob("*.tmp"))

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fsync", "replace"):  # as it is made, written, renamed
            real = getattr(os, name)

            def spy(*args, real=real, **kwargs):
                look()
                result = real(*args, **kwargs)
                look()
                return result

            patch.setattr(os, name, spy)
        replace_file("model", b"new")
    assert len(seen) >= 4
    assert not any(found & ~mode for found in seen)
    assert rights("model") == mode
    assert (here / "model").read_bytes() == b"new"


def test_a_file_that_was_not_there_has_the_usual_rights(here):
    os.umask(0o027)
    replace_file("model", b"new")
    assert rights("model") == 0o640


@pytest.mark.skipif(not hasattr(os, "getgroups"), reason="there are no groups")
def test_the_group_stays_or_has_no_rights(here, monkeypatch):
    """What members of one group may read, those of another may not."""
    (here / "model").write_bytes(b"old")
    (here / "model").chmod(0o640)
    fstat = os.fstat

    def of_another_group(descriptor):
        found = list(fstat(descriptor))
        found[stat.ST_GID] += 1
        return os.stat_result(found)

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fstat", of_another_group)
    replace_file("model", b"new")
    assert rights("model") == 0o640
    monkeypatch.setattr(os, "fchown", refuse)
    replace_file("model", b"newer")
    assert rights("model") == 0o600


def test_the_file_that_a_link_points_to_is_replaced(here):
    (here / "folder").mkdir()
    (here / "link").symlink_to("second")
    (here / "second").symlink_to("folder/model")
    assert resolve_target("link") == here / "folder" / "model"
    for data in (b"new", b"newer"):  # first it is not there
        replace_file("link", data)
        assert (here / "link").is_symlink()
        assert (here / "folder" / "model").read_bytes() == data


@pytest.mark.parametrize("path", ["itself", "there", "itself/model"])
def test_links_that_lead_in_a_circle_stay(path, here):
    (here / "itself").symlink_to("itself")
    (here / "there").symlink_to("back")
    (here / "back").symlink_to("there")
    with pytest.raises(OSError, match=f"{path} cannot.* circle.*Remove") as caught:
        replace_file(path, b"new")
    assert caught.value.errno == errno.ELOOP
    links = {file.name: os.readlink(file) for file in here.iterdir()}
    assert links == {"itself": "itself", "there": "back", "back": "there"}


def test_what_is_no_file_is_refused(here):
    (here / "folder").mkdir()
    with pytest.raises(FileExistsError, match="regular file"):
        replace_file("folder", b"new")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        replace_file("nowhere/model", b"new")
    assert os.listdir() == ["folder"]


def written(here):
    return {file.name: file.read_bytes() for file in here.iterdir()}


def replace_all(names, error=None):
    """Replace files together, and raise an error before the end."""
    with replacing_together():
        for name in names:
            replace_file(name, b"new")
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_all_files_are_replaced_or_none(error, here):
    before = dict.fromkeys("abc", b"old")
    for name in before:
        (here / name).write_bytes(b"old")
    with pytest.raises(error):
        replace_all("abd", error)
    assert written(here) == before
    with replacing_together():
        for name in "abd":
            replace_file(name, b"new")
        assert (here / "a").read_bytes() == b"old"
        assert not (here / "d").exists()
    assert written(here) == {"a": b"new", "b": b"new", "c": b"old", "d": b"new"}


@pytest.mark.parametrize("n_renamed", [0, 1, 2])
def test_which_files_are_new_is_said_where_not_all_are(n_renamed, here, monkeypatch):
    names = ["one", "two", "three"]
    replace, calls = os.replace, []

    def fail(*args):
        calls.append(args)
        if len(calls) > n_renamed:
            raise OSError(errno.EROFS, "Read-only file system")
        replace(*args)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Read-only") as caught:
        replace_all(names)
    new, old = names[:n_renamed], names[n_renamed:]
    said = f"New files: {', '.join(new)}; unchanged files: {', '.join(old)}."
    assert (said if new else "All files are as they were") in str(caught.value)
    assert caught.value.errno == errno.EROFS
    assert sorted(written(here)) == sorted(new)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interruption_between_old_and_new_ends_with_the_new(
    moment, here, monkeypatch
):
    replace, calls = os.replace, []

    def interrupt(*args):
        calls.append(args)
        if len(calls) == 2 and moment == "before":
            raise KeyboardInterrupt
        replace(*args)
        if len(calls) == 2 and moment == "after":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replace_all("abc")
    assert written(here) == dict.fromkeys("abc", b"new")


def test_a_full_disk_leaves_what_was_there(here, monkeypatch):
    (here / "a").write_bytes(b"old")
    fsync, calls = os.fsync, []

    def fail(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"b cannot.*All files are.*Free disk space"):
        replace_all("abc")
    assert written(here) == {"a": b"old"}
