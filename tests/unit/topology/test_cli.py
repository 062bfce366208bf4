"""The command line without a broker: usage, exit codes, messages."""

import json
import os
from importlib import metadata

import pytest

from broker_topology.cli import main

BROKER = ["--url", "https://localhost:1", "--username", "u", "--password-file", "p"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("BROKER_TOPOLOGY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def shop(file):
    return str(file({"queues": {"q": {}}}))


def usage_error(capsys, *arguments):
    """Runs a command that must end with exit code 2, and returns its message."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_check_without_a_broker_checks_the_files(shop, capsys):
    assert main(["check", shop]) == 0
    assert capsys.readouterr().out.startswith("1 topology, 2 objects: no findings")


def test_findings_go_to_standard_error_without_a_stack_trace(file, capsys):
    broken = file({"queus": {}, "bindings": [{"source": "a", "queues": "q"}]})
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
    assert f"broker-topology {command} topology" in out
    assert "3  plan or check found differences" in out
    assert "BROKER_TOPOLOGY_URL" in out


@pytest.mark.parametrize(
    "arguments",
    [[], ["destroy"], ["plan"], ["plan", "x", "--sideways"], ["apply", "x", "--wait", "long"]],
)
def test_wrong_usage_ends_with_exit_code_two(arguments, capsys):
    assert "usage:" in usage_error(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "FILE"], "--username is required (or BROKER_TOPOLOGY_USERNAME)"),
        (["export", *BROKER], "--vhost is required (or BROKER_TOPOLOGY_VHOST)"),
        (["apply", "FILE", *BROKER, "--secrets-dir", "s", "--prune"], "--prune needs --owner"),
        (["plan", "FILE", *BROKER, "--secrets-dir", "s", "--cert-file", "c"], "--cert-file and --key-file go together"),
    ],
)
def test_a_missing_option_is_named(shop, capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("BROKER_TOPOLOGY_URL", "https://localhost:1")
    assert message in usage_error(capsys, *[shop if each == "FILE" else each for each in arguments])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("broker:15671", "is not an address"),
        ("http://broker.example:15672", "would send the password unencrypted"),
        ("https://u:p@broker:15671", "must not hold a password"),
    ],
)
def test_an_unsafe_address_is_refused(shop, tmp_path, capsys, url, message):
    (tmp_path / "password").write_text("p")
    options = ["--username", "u", "--password-file", str(tmp_path / "password"), "--secrets-dir", str(tmp_path)]
    assert main(["plan", shop, "--url", url, *options]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_password_file_is_reported(shop, tmp_path, capsys):
    options = ["--url", "https://localhost:1", "--username", "u", "--secrets-dir", str(tmp_path)]
    assert main(["plan", shop, *options, "--password-file", str(tmp_path / "none")]) == 1
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_usage_errors_print_the_usage_of_the_command(shop, capsys):
    for arguments in (["plan", shop], ["export"], ["plan", shop, "--sideways"]):
        expected = f"usage: broker-topology {arguments[0]} "
        assert usage_error(capsys, *arguments).startswith(expected)


def test_check_does_not_compare_when_only_the_environment_has_an_address(shop, capsys, monkeypatch):
    monkeypatch.setenv("BROKER_TOPOLOGY_URL", "https://localhost:1")
    assert main(["check", shop]) == 0
    assert "files only" in capsys.readouterr().out


def test_version_prints_name_and_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"broker-topology {metadata.version('broker-topology')}\n"


BROAD_PERMISSIONS = {
    "exchanges": {"events": {"type": "topic"}},
    "users": {"u": {"secretName": "u", "permissions": {"configure": ".*", "write": ".*", "read": ".*"}}},
}


def test_warnings_are_printed_and_fail_the_check_only_with_strict(file, capsys):
    path = file(BROAD_PERMISSIONS)
    assert main(["check", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("1 topology, 4 objects: 1 warning (files only")
    expected = f"{path}: spec.users.u.topicPermissions: "
    assert err.startswith(f"warning: {expected}permissions.write allows topic exchange events")
    assert main(["check", str(path), "--strict"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(expected)) == ("", True)


def test_findings_are_printed_as_json(file, capsys):
    for spec, code, warning in (
        (BROAD_PERMISSIONS, 0, True),
        (BROAD_PERMISSIONS | {"bindings": [{"source": "no", "queue": "q"}]}, 1, False),
    ):
        path = file(spec)
        assert main(["check", str(path), "--json"]) == code
        out, err = capsys.readouterr()
        assert err == ""
        found = json.loads(out)["findings"]
        assert found[0]["file"] == str(path)
        assert any(each["warning"] is warning for each in found)
    assert main(["check", str(file({"queus": {}})), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["path"] == "spec.queus"
