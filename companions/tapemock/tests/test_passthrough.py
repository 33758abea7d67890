"""The mount does what the file system below does: the same calls on both, the same results."""

import os

import pytest
from calls import result, tree
from sequences import contents, directories, files, links, modes, others, renames


@pytest.mark.parametrize("calls", [directories, files, links, renames, modes, contents, others])
def test_the_same_calls_on_both_have_the_same_results(calls, tapemock, tmp_path, monkeypatch):
    if calls is others and os.geteuid():
        pytest.skip("only root can be another user")
    known = tmp_path / "known"
    known.mkdir()
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    for number, (call, *arguments) in enumerate(calls()):
        seen = []
        for folder in (known, tapemock.mount):
            monkeypatch.chdir(folder)
            seen.append(told(result(call, *arguments)))
        assert seen[0] == seen[1], f"call {number}: {call.__name__}{tuple(arguments)}"
    monkeypatch.chdir(tmp_path)
    assert tree(tapemock.mount) == tree(known) == tree(tapemock.source)


def told(value):
    """A result without what differs between two places."""
    return attributes_of(value) if isinstance(value, os.stat_result) else value


def attributes_of(found):
    return found.st_mode, found.st_nlink, found.st_size


def test_listing_tells_types_and_inodes(tapemock):
    (tapemock.source / "folder").mkdir()
    (tapemock.source / "file").touch()
    (tapemock.source / "link").symlink_to("file")
    os.mkfifo(tapemock.source / "fifo")

    def listed(folder):
        with os.scandir(folder) as entries:
            return {entry.name: (entry.is_dir(follow_symlinks=False), entry.is_symlink(), entry.inode())
                    for entry in entries}
    assert listed(tapemock.mount) == listed(tapemock.source)


def test_what_changes_below_is_seen(tapemock):
    (tapemock.mount / "f").write_text("one")
    (tapemock.source / "f").write_text("other")
    assert (tapemock.mount / "f").read_text() == "other"
    os.rename(tapemock.source / "f", tapemock.source / "g")
    assert os.listdir(tapemock.mount) == ["g"]
    assert not (tapemock.mount / "f").exists()
