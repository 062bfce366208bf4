"""What each command does, and how it ends."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from broker_topology.adoption.export import export
from broker_topology.broker.management_api import ManagementApi
from broker_topology.cli.arguments import ENVIRONMENT, WITHOUT_FILES, parser
from broker_topology.convergence.apply import apply, preview
from broker_topology.convergence.owners import disown, owners
from broker_topology.convergence.reconcile import converge
from broker_topology.convergence.reconciliation import NEVER_PRUNED
from broker_topology.convergence.settling import settle
from broker_topology.credentials.secrets import Credentials, SecretDirectory
from broker_topology.errors import TopologyError
from broker_topology.migration.migrator import UNMOVABLE
from broker_topology.planning import rendering
from broker_topology.planning.outcome import Status
from broker_topology.planning.plan import Plan, Step
from broker_topology.resource.manifests import load, with_vhost
from broker_topology.resource.model import Loaded
from broker_topology.rotation.rotating_secrets import RotatingDirectory
from broker_topology.rotation.rotator import Rotator
from broker_topology.rules.validation import validate

DONE, FAILED, USAGE, DIFFERENT = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Raises SystemExit(2) on wrong usage."""
    taken = parser()
    options = taken.parse_args(arguments)
    try:
        return asyncio.run(_run(options, taken.error))
    except TopologyError as exc:
        print(f"error: {exc}" if "\n" not in str(exc) else str(exc), file=sys.stderr)  # noqa: T201
        return FAILED
    except BrokenPipeError:  # `… | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("interrupted; running again continues", file=sys.stderr)  # noqa: T201
        return FAILED


async def _run(options: argparse.Namespace, usage_error: Callable[[str], NoReturn]) -> int:
    files = options.command not in WITHOUT_FILES
    topologies = load(options.paths) if files else []
    if files and options.vhost:
        topologies = with_vhost(topologies, options.vhost)
    if options.command == "check" and not options.url:
        validate(topologies)
        _say(f"{_counted(topologies)}: no complaint (files only; give --url to compare with a broker)")
        return DONE
    _require(
        options, usage_error, "url", "username", "password_file", *WITHOUT_FILES.get(options.command, ("secrets_dir",))
    )
    if files and options.prune and not options.owner:
        usage_error("--prune needs --owner: only what an owner has on record can be known to be no longer wanted")
    if options.command == "apply" and options.rotate and not options.owner:
        usage_error("--rotate needs --owner: only what an owner has on record is ever removed")
    if bool(options.cert_file) != bool(options.key_file):
        usage_error("--cert-file and --key-file go together")
    api = await _opened(options)
    try:
        if not files:
            return await {"export": _export, "owners": _owners, "disown": _disown}[options.command](api, options)
        if options.owner:
            return await _converge(topologies, api, options)
        if options.command == "apply":
            return await _apply(topologies, api, SecretDirectory(options.secrets_dir))
        plan = await preview(topologies, api, SecretDirectory(options.secrets_dir), strict=False)
    finally:
        await api.close()
    _show(plan)
    return DIFFERENT if plan else DONE


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


async def _apply(topologies: list[Loaded], api: ManagementApi, secrets: SecretDirectory) -> int:
    applied = await apply(topologies, api, secrets, _progress if sys.stderr.isatty() else None, strict=False)
    if applied.plan.blocked:
        _show(Plan(applied.plan.blocked))
    outcome = f"{_objects(len(applied.plan.writes))} written" if applied.plan else "nothing to do"
    _say(f"{_counted(topologies)}: {outcome}")
    return FAILED if applied.plan.blocked else DONE


async def _converge(topologies: list[Loaded], api: ManagementApi, options: argparse.Namespace) -> int:
    """With an owner: what it has on record and the files no longer name is shown, and removed if asked for."""
    enforce = options.command == "apply"
    secrets = RotatingDirectory(options.secrets_dir)
    if enforce:
        outcome = await settle(
            topologies,
            owner=options.owner,
            api=api,
            secrets=secrets,
            prune=options.prune,
            rotate=options.rotate,
            progress=_progress if sys.stderr.isatty() else None,
            told=lambda line: print(line, file=sys.stderr),  # noqa: T201
        )
    else:
        standing = [await Rotator(secrets, api).standing(item) for item in topologies]
        outcome = await converge(
            topologies,
            owner=options.owner,
            api=api,
            secrets=secrets,
            enforce=False,
            prune=options.prune,
            accounts={name: accounts for each in standing for name, accounts in each.items()},
        )
    blocked = outcome.plan.blocked
    if not enforce or blocked:
        _show(Plan(blocked) if enforce else outcome.plan)
    unpruned = [each for each in outcome.of(Status.RETAINED) if each.message == NEVER_PRUNED]
    for each in outcome.of(Status.RETAINED):
        if each not in unpruned:
            _say(f"= kept {each.kind.value} {each.name}: {each.message}")
    if unpruned:
        _say(f"{_objects(len(unpruned))} of owner {options.owner} no longer in the files; --prune removes them")
    if not enforce:
        return DIFFERENT if outcome.plan else DONE
    stuck = [each for each in outcome.of(Status.BLOCKED) if each.message.startswith(UNMOVABLE)]
    for each in stuck:
        _say(f"! {each.kind.value} {each.name}: {each.message}")
    for what, reason in outcome.failures:
        print(f"error: {what}: {reason}", file=sys.stderr)  # noqa: T201
    done = f"{_objects(len(outcome.plan.writes))} written or removed" if outcome.plan.writes else "nothing to do"
    _say(f"{_counted(topologies)}: {done}")
    return FAILED if blocked or stuck or outcome.failures else DONE


async def _export(api: ManagementApi, options: argparse.Namespace) -> int:
    exported = await export(api, options.vhost, options.name)
    if options.secrets_dir:
        secrets = SecretDirectory(options.secrets_dir)
        for secret_name, (username, password_hash) in exported.hashes.items():
            await secrets.write(secret_name, Credentials(username, password_hash=password_hash))
    print(exported.text, end="")  # noqa: T201
    return DONE


async def _owners(api: ManagementApi, _: argparse.Namespace) -> int:
    standing = await owners(api)
    for each in standing:
        _say(str(each))
    if not standing:
        _say("nobody: no Topology was ever applied here with an owner")
    return DONE


async def _disown(api: ManagementApi, options: argparse.Namespace) -> int:
    freed = await disown(api, options.owner)
    _say(f"{options.owner} is forgotten; {_objects(freed)} of it belong to nobody now")
    return DONE


def _progress(step: Step, done: int, total: int) -> None:
    print(f"\r\033[K{done}/{total} {rendering.title(step)[:90]}", end="" if done < total else "\n", file=sys.stderr)  # noqa: T201


def _show(plan: Plan) -> None:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in rendering.lines(plan, colour=colour):
        _say(line)
    _say(rendering.summary(plan))


def _say(text: str) -> None:
    print(text)  # noqa: T201


def _counted(topologies: list[Loaded]) -> str:
    objects = sum(
        len(section)
        for item in topologies
        for section in (
            item.spec.exchanges,
            item.spec.queues,
            item.spec.super_streams,
            item.spec.bindings,
            item.spec.users,
            item.spec.policies,
            item.spec.operator_policies,
        )
    )
    files = "1 topology" if len(topologies) == 1 else f"{len(topologies)} topologies"
    return f"{files}, {_objects(objects)}"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _password(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise TopologyError(f"the password file {file} cannot be read: {reason}") from exc
