import io
from pathlib import Path

from devtools.processes.log_file import LogFile, pump


def test_a_log_is_bounded_and_keeps_its_last_lines(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "broker.log", append=True, limit=100)
    lines = [f"line {number:03}\n".encode() for number in range(100)]
    for line in lines:
        log.write(line)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["broker.log", "broker.old.log"]
    assert all(0 < file.stat().st_size <= 100 for file in files)
    kept = files[1].read_bytes() + files[0].read_bytes()
    assert b"".join(lines).endswith(kept)


def test_a_log_is_appended_or_emptied(tmp_path: Path) -> None:
    for append, expected in ((False, b"one\n"), (True, b"one\none\n"), (False, b"one\n")):
        log = LogFile(tmp_path / "log", append=append)
        log.write(b"one\n")
        log.close()
        assert (tmp_path / "log").read_bytes() == expected


def test_a_log_that_cannot_be_written_does_not_block_the_process(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    full = LogFile(tmp_path / "log", append=True)
    seen: list[bytes] = []
    pump("one", io.BytesIO(b"first\nsecond\n"), full, seen.append).join()
    assert seen == [b"first\n", b"second\n"]
