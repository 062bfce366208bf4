"""What each command does, and how it ends."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from broker_topology.broker.management_api import ManagementApi
from broker_topology.cli.arguments import BROKER, ENVIRONMENT, WITHOUT_FILES, parser
from broker_topology.cli.reports import PlanReport, complain, counted, kept, objects, say, say_json, show_findings
from broker_topology.cli.uncompared import UncomparedSecrets
from broker_topology.credentials.secrets import SecretDirectory, read_text
from broker_topology.errors import InvalidTopology, TopologyError
from broker_topology.export.export import export
from broker_topology.findings import printable, refusing
from broker_topology.migration.migrator import UNMOVABLE
from broker_topology.planning import rendering
from broker_topology.planning.plan import PlanStep
from broker_topology.planning.result import Status, TopologyResult
from broker_topology.reconciliation.apply import apply, foresee
from broker_topology.reconciliation.apply_until_done import apply_until_done
from broker_topology.reconciliation.owners import disown, owners
from broker_topology.reconciliation.reconcile import reconcile_all
from broker_topology.reconciliation.run import NEVER_PRUNED
from broker_topology.resource.manifests import load, with_strict, with_vhost
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.rotator import Rotator
from broker_topology.rotation.versioned_secrets import VersionedSecretDirectory, VersionedSecretStore
from broker_topology.rules.validation import findings

DONE, FAILED, USAGE, DIFFERENT = 0, 1, 2, 3
UNNAMED = "it is in none of these files and stays: without --owner nothing tells whether they named it before"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Raises SystemExit(2) on wrong usage."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return asyncio.run(_run(options, options.parser.error))
    except InvalidTopology as exc:
        show_findings([], exc.findings, as_json=getattr(options, "json", False))
        return FAILED
    except TopologyError as exc:
        complain(f"error: {exc}" if "\n" not in str(exc) else str(exc))
        return FAILED
    except BrokenPipeError:  # `… | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        complain("interrupted; running again continues")
        return FAILED


async def _run(options: argparse.Namespace, usage_error: Callable[[str], NoReturn]) -> int:
    files = options.command not in WITHOUT_FILES
    topologies = load(options.paths) if files else []
    if files and options.vhost:
        topologies = with_vhost(topologies, options.vhost)
    if files and options.strict:
        topologies = with_strict(topologies)
    if options.command == "check" and not _compares(options):
        return _check_files(topologies, as_json=options.json)
    _require(options, usage_error, *BROKER, *WITHOUT_FILES.get(options.command, ()))
    if options.command == "apply":
        _require(options, usage_error, "secrets_dir")
    if files and options.prune and not options.owner:
        usage_error("--prune needs --owner: only what an owner has on record can be known to be no longer wanted")
    if options.command == "apply" and options.rotate and not options.owner:
        usage_error("--rotate needs --owner: only what an owner has on record is ever removed")
    if files and not options.secrets_dir and any(u.rotation for item in topologies for u in item.spec.users.values()):
        usage_error("--secrets-dir is required: of users with rotation only their Secrets tell which ones are in use")
    if bool(options.cert_file) != bool(options.key_file):
        usage_error("--cert-file and --key-file go together")
    api = await _opened(options)
    try:
        if not files:
            return await {"export": _export, "owners": _owners, "disown": _disown}[options.command](api, options)
        secrets = (
            VersionedSecretDirectory(options.secrets_dir) if options.secrets_dir else UncomparedSecrets(topologies)
        )
        if options.owner:
            return await _converge(topologies, api, secrets, options)
        return await _without_owner(topologies, api, secrets, options)
    finally:
        await api.close()


def _compares(options: argparse.Namespace) -> bool:
    """`check` looks at a broker when it is given one: an address alone, in a variable, may be meant for others."""
    from_environment = options.url == os.environ.get(f"{ENVIRONMENT}URL")
    return bool(options.url) and not (from_environment and not all(getattr(options, name) for name in BROKER))


def _check_files(topologies: list[LoadedTopology], *, as_json: bool) -> int:
    found = findings(topologies)
    show_findings(topologies, found, as_json=as_json)
    if refusing(found):
        return FAILED
    if not as_json:
        warnings = f"{len(found)} warning{'' if len(found) == 1 else 's'}" if found else "no complaint"
        say(f"{counted(topologies)}: {warnings} (files only; give --url to compare with a broker)")
    return DONE


def _require(options: argparse.Namespace, usage_error: Callable[[str], NoReturn], *names: str) -> None:
    for name in names:
        if not getattr(options, name):
            usage_error(f"--{name.replace('_', '-')} is required (or {ENVIRONMENT}{name.upper()})")


async def _opened(options: argparse.Namespace) -> ManagementApi:
    return await ManagementApi(
        options.url,
        options.username,
        _password(options.password_file),
        ca_file=options.ca_file,
        client_certificate=(options.cert_file, options.key_file) if options.cert_file else None,
    ).wait(options.wait)


async def _without_owner(
    topologies: list[LoadedTopology], api: ManagementApi, secrets: VersionedSecretStore, options: argparse.Namespace
) -> int:
    enforce = options.command == "apply"
    if enforce:
        found = await apply(topologies, api, secrets, _progress if sys.stderr.isatty() else None, strict=False)
    else:
        found = await foresee(topologies, api, secrets, strict=False)
    notes = tuple(f"{each}: {UNNAMED}" for each in found.unnamed) if found.plan or enforce else ()
    report = PlanReport(topologies, found.plan, enforce, notes=notes, warnings=found.warnings)
    report.show(as_json=options.json)
    if enforce:
        return FAILED if found.plan.blocked else DONE
    return DIFFERENT if found.plan else DONE


async def _converge(
    topologies: list[LoadedTopology], api: ManagementApi, secrets: VersionedSecretStore, options: argparse.Namespace
) -> int:
    """With an owner: what it has on record and the files no longer name is shown, and removed if asked for."""
    enforce = options.command == "apply"
    if enforce:
        outcome = await apply_until_done(
            topologies,
            owner=options.owner,
            api=api,
            secrets=secrets,
            prune=options.prune,
            rotate=options.rotate,
            progress=_progress if sys.stderr.isatty() else None,
            told=lambda line: complain(printable(line)),
        )
    else:
        standing = [await Rotator(secrets, api).standing(item) for item in topologies]
        outcome = await reconcile_all(
            topologies,
            owner=options.owner,
            api=api,
            secrets=secrets,
            enforce=False,
            prune=options.prune,
            accounts={name: accounts for each in standing for name, accounts in each.items()},
            patient=True,
        )
    report = _report(topologies, outcome, options.owner, carried_out=enforce)
    report.show(as_json=options.json)
    if not enforce:
        return DIFFERENT if outcome.plan else DONE
    return FAILED if outcome.plan.blocked or report.stuck or outcome.failures else DONE


def _report(topologies: list[LoadedTopology], outcome: TopologyResult, owner: str, *, carried_out: bool) -> PlanReport:
    unpruned = len([each for each in outcome.of(Status.RETAINED) if each.message == NEVER_PRUNED])
    note = f"{objects(unpruned)} of owner {owner} no longer in the files; --prune removes them"
    stuck = [each for each in outcome.of(Status.BLOCKED) if each.message.startswith(UNMOVABLE)]
    return PlanReport(
        topologies,
        outcome.plan,
        carried_out,
        kept=kept(outcome, without=NEVER_PRUNED),
        stuck=tuple(stuck) if carried_out else (),
        migrated=tuple(f"queue {each}" for each in outcome.migrated),
        failures=outcome.failures,
        notes=(note,) if unpruned else (),
        warnings=outcome.warnings,
    )


async def _export(api: ManagementApi, options: argparse.Namespace) -> int:
    exported = await export(api, options.vhost, options.name)
    if options.secrets_dir:
        secrets = SecretDirectory(options.secrets_dir)
        for secret_name, credentials in exported.credentials.items():
            await secrets.write(secret_name, credentials)
            if await secrets.read(secret_name) != credentials:
                raise TopologyError(f"secret {secret_name} in {options.secrets_dir} is another one already; remove it")
    print(exported.text, end="")  # noqa: T201
    for each in exported.left_out:
        complain(printable(f"left out: {each}"))
    return DONE if exported.complete else DIFFERENT


async def _owners(api: ManagementApi, options: argparse.Namespace) -> int:
    standing = await owners(api)
    if options.json:
        say_json([each.plain() for each in standing])
        return DONE
    for each in standing:
        say(str(each))
    if not standing:
        say("no owners: no Topology was ever applied here with an owner")
    return DONE


async def _disown(api: ManagementApi, options: argparse.Namespace) -> int:
    freed = await disown(api, options.owner)
    if options.json:
        say_json({"owner": options.owner, "objects": freed})
    else:
        say(f"{options.owner} is forgotten; {objects(freed)} of it have no owner now")
    return DONE


def _progress(step: PlanStep, done: int, total: int) -> None:
    text = printable(rendering.title(step))[:90]
    print(f"\r\033[K{done}/{total} {text}", end="" if done < total else "\n", file=sys.stderr)  # noqa: T201


def _password(file: str) -> str:
    try:
        return read_text(Path(file))
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise TopologyError(f"the password file {file} cannot be read: {reason}") from exc
