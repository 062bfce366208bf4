from pathlib import Path

import pytest

from devtools.local.clean import clean, instance_names, main
from devtools.local.instance import Instance
from devtools.paths import CHECKOUT, instance_dir


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: `instance_dir` without an argument would read the real environment."""
    monkeypatch.setenv("WARREN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(name: str, checkout: Path) -> Path:
    folder = instance_dir(name, checkout)
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "row").write_text("x")
    return folder


def test_a_checkout_lists_only_its_own_instances(tmp_path: Path) -> None:
    make("up", tmp_path / "mine")
    make("test-4711", tmp_path / "mine")
    make("demo", tmp_path / "other")
    assert instance_names(tmp_path / "mine") == ["test-4711", "up"]


def test_clean_keeps_other_checkouts_and_shared_roots(tmp_path: Path, cache: Path) -> None:
    gone, kept = make("up", tmp_path / "mine"), make("up", tmp_path / "other")
    root = cache / "roots" / "some"
    root.mkdir(parents=True)
    assert clean(tmp_path / "mine") == [gone]
    assert not gone.exists()
    assert kept.exists()
    assert root.exists()


def test_clean_without_any_instance_does_nothing(tmp_path: Path) -> None:
    assert clean(tmp_path / "mine") == []


def test_clean_lists_shared_folders_and_how_to_remove_them(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kept in ("roots", "helm", "kubectl"):
        (cache / kept).mkdir(parents=True)
    (cache / "helm" / "program").write_bytes(b"x" * 2_400_000)
    folder = make("up", CHECKOUT)
    main()
    printed = capsys.readouterr().out
    assert f"removed {folder}" in printed
    assert f"kept {cache / 'helm'} (2 MB)" in printed
    for kept in ("roots", "helm", "kubectl"):
        assert f"rm -rf {cache / kept}" in printed
    assert str(cache / "instances") not in printed.replace(str(folder), "")


def test_a_removed_instance_can_be_created_again(tmp_path: Path) -> None:
    folder = make("up", tmp_path / "mine")
    clean(tmp_path / "mine")
    with Instance("up", folder=folder) as instance:
        assert instance.state is not None
