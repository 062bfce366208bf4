"""The command line without a broker: usage, exit codes, messages for people."""

import json
import os
import re

import pytest

from broker_topology.cli import main


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("BROKER_TOPOLOGY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path, text):
    path = tmp_path / "shop.yaml"
    path.write_text(text({"queues": {"q": {}}}))
    return path


def test_check_without_a_broker_checks_the_files(file, capsys):
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.startswith("1 topology, 2 objects: no findings")


def test_findings_go_to_standard_error_without_a_stack_trace(tmp_path, text, capsys):
    broken = tmp_path / "shop.yaml"
    broken.write_text(text({"queus": {}, "bindings": [{"source": "a", "queues": "q"}]}))
    assert main(["check", str(broken)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"{broken}: spec.bindings[0].queues: unknown field, did you mean queue?",
        f"{broken}: spec.queus: unknown field, did you mean queues?",
    ]


@pytest.mark.parametrize("command", ["plan", "apply", "check"])
def test_help_has_an_example_and_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"python -m broker_topology {command} charts/warren/topology" in out
    assert "3  plan or check found differences" in out
    assert "BROKER_TOPOLOGY_URL" in out


@pytest.mark.parametrize(
    "arguments",
    [[], ["destroy"], ["plan"], ["plan", "x", "--sideways"], ["apply", "x", "--wait", "long"]],
)
def test_wrong_usage_ends_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_missing_option_is_named_with_its_variable(file, capsys, monkeypatch):
    monkeypatch.setenv("BROKER_TOPOLOGY_URL", "https://localhost:1")
    with pytest.raises(SystemExit) as exit_:
        main(["plan", str(file)])
    assert exit_.value.code == 2
    assert "--username is required (or BROKER_TOPOLOGY_USERNAME)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("broker:15671", "is not an address"),
        ("http://broker.example:15672", "would send the password unencrypted"),
        ("https://u:p@broker:15671", "must not hold a password"),
    ],
)
def test_addresses_that_are_refused(file, tmp_path, capsys, url, message):
    (tmp_path / "password").write_text("p")
    options = ["--username", "u", "--password-file", str(tmp_path / "password"), "--secrets-dir", str(tmp_path)]
    assert main(["plan", str(file), "--url", url, *options]) == 1
    assert message in capsys.readouterr().err


def test_pruning_needs_an_owner(file, capsys):
    options = ["--url", "https://localhost:1", "--username", "u", "--password-file", "p", "--secrets-dir", "s"]
    with pytest.raises(SystemExit) as exit_:
        main(["apply", str(file), *options, "--prune"])
    assert exit_.value.code == 2
    assert "--prune needs --owner" in capsys.readouterr().err


def test_export_needs_a_virtual_host(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["export", "--url", "https://localhost:1", "--username", "u", "--password-file", "p"])
    assert exit_.value.code == 2
    assert "--vhost is required (or BROKER_TOPOLOGY_VHOST)" in capsys.readouterr().err


def test_a_missing_password_file(file, tmp_path, capsys):
    options = ["--url", "https://localhost:1", "--username", "u", "--secrets-dir", str(tmp_path)]
    assert main(["plan", str(file), *options, "--password-file", str(tmp_path / "none")]) == 1
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_usage_errors_print_the_usage_of_the_command(file, capsys):
    for arguments in (["plan", str(file)], ["export"], ["plan", str(file), "--sideways"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2
        assert capsys.readouterr().err.startswith(f"usage: python -m broker_topology {arguments[0]} ")


def test_an_address_in_the_environment_alone_leaves_check_to_the_files(file, capsys, monkeypatch):
    monkeypatch.setenv("BROKER_TOPOLOGY_URL", "https://localhost:1")
    assert main(["check", str(file)]) == 0
    assert "files only" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert re.fullmatch(r"broker_topology \S+\n", capsys.readouterr().out)


OPEN = {
    "exchanges": {"events": {"type": "topic"}},
    "users": {"u": {"secretName": "u", "permissions": {"configure": ".*", "write": ".*", "read": ".*"}}},
}


def test_warnings_are_said_and_refuse_only_with_strict(tmp_path, text, capsys):
    path = tmp_path / "shop.yaml"
    path.write_text(text(OPEN))
    assert main(["check", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("1 topology, 4 objects: 1 warning (files only")
    assert err.startswith(
        f"warning: {path}: spec.users.u.topicPermissions: permissions.write allows topic exchange events"
    )
    assert main(["check", str(path), "--strict"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"{path}: spec.users.u.topicPermissions: ")) == ("", True)


def test_findings_as_json(tmp_path, text, capsys):
    path = tmp_path / "shop.yaml"
    for spec, code, warning in ((OPEN, 0, True), (OPEN | {"bindings": [{"source": "no", "queue": "q"}]}, 1, False)):
        path.write_text(text(spec))
        assert main(["check", str(path), "--json"]) == code
        out, err = capsys.readouterr()
        assert err == ""
        found = json.loads(out)["findings"]
        assert found[0]["file"] == str(path)
        assert any(each["warning"] is warning for each in found)
    path.write_text(text({"queus": {}}))
    assert main(["check", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["path"] == "spec.queus"
