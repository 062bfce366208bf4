from pathlib import Path

from devtools.paths import cache_dir, instance_dir, roots_dir


def test_the_environment_chooses_the_cache_folder() -> None:
    assert cache_dir({"WARREN_CACHE": "/big/disk", "XDG_CACHE_HOME": "/x"}) == Path("/big/disk")
    assert cache_dir({"XDG_CACHE_HOME": "/x"}) == Path("/x/warren")
    assert cache_dir({}) == Path.home() / ".cache" / "warren"


def test_roots_are_shared_by_checkouts_and_instances_are_not(tmp_path: Path) -> None:
    environ = {"WARREN_CACHE": str(tmp_path)}
    assert roots_dir(environ) == tmp_path / "roots"
    folders = {
        instance_dir(name, checkout, environ)
        for name in ("up", "test")
        for checkout in (tmp_path / "first", tmp_path / "second")
    }
    assert len(folders) == 4
    assert all(folder.parent == tmp_path / "instances" for folder in folders)


def test_the_folder_of_an_instance_is_stable(tmp_path: Path) -> None:
    assert instance_dir("up", tmp_path) == instance_dir("up", tmp_path / "." / "x" / "..")
