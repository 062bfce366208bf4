"""The commands and their exit codes."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from broker_topology.broker.management_api import ManagementApi
from broker_topology.cli.arguments import BROKER, ENVIRONMENT, WITHOUT_FILES, parser
from broker_topology.cli.reports import (
    PlanReport,
    objects,
    print_error,
    print_json,
    print_line,
    show_findings,
    topologies_and_objects,
)
from broker_topology.credentials.directory import SecretDirectory, read_text
from broker_topology.credentials.secrets import Credentials, CredentialStore, store_if_missing
from broker_topology.errors import InvalidTopology, TopologyError
from broker_topology.export.export import export
from broker_topology.findings import errors_in, printable
from broker_topology.migration.migrator import CANNOT_MIGRATE
from broker_topology.planning import rendering
from broker_topology.planning.plan import PlanStep
from broker_topology.planning.result import Status, TopologyResult
from broker_topology.reconciliation.apply import apply
from broker_topology.reconciliation.apply_until_done import apply_until_done
from broker_topology.reconciliation.owners import disown, owners
from broker_topology.reconciliation.reconcile import NEVER_PRUNED, reconcile
from broker_topology.resource.manifests import load, with_spec, with_vhost
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.rotator import Rotator
from broker_topology.rules.validation import check

DONE, FAILED, DIFFERENT = 0, 1, 3
UNDECLARED = "it is in none of these files and stays: without --owner it is unknown whether they declared it before"

Options = argparse.Namespace
UsageError = Callable[[str], NoReturn]


class AnyPassword(Credentials, frozen=True):
    """Fits every hash. Never written."""

    def fits(self, observed_hash: str, algorithm: str) -> bool:
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Raises SystemExit(2) on wrong usage."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return asyncio.run(_run(options, options.parser.error))
    except InvalidTopology as exc:
        show_findings([], exc.findings, as_json=getattr(options, "json", False))
    except TopologyError as exc:
        print_error(f"error: {exc}" if "\n" not in str(exc) else str(exc))
    except BrokenPipeError:  # the reader of `… | head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print_error("interrupted; the next run continues")
    return FAILED


async def _run(options: Options, usage_error: UsageError) -> int:
    files = options.command not in WITHOUT_FILES
    topologies = load(options.paths) if files else []
    if files and options.vhost:
        topologies = with_vhost(topologies, options.vhost)
    if files and options.strict:
        topologies = [with_spec(item, strict=True) for item in topologies]
    if options.command == "check" and not _compares(options):
        return _check_files(topologies, as_json=options.json)
    _check_options(options, usage_error, topologies, files=files)
    api = await ManagementApi(
        options.url,
        options.username,
        _password(options.password_file),
        ca_file=options.ca_file,
        client_certificate=(options.cert_file, options.key_file) if options.cert_file else None,
    ).wait(options.wait)
    try:
        if not files:
            return await {"export": _export, "owners": _owners, "disown": _disown}[options.command](api, options)
        secrets, applies = SecretDirectory(options.secrets_dir or ""), options.command == "apply"
        result = await (_apply if applies else _compare)(topologies, api, secrets, options)
    finally:
        await api.close()
    report = _report(topologies, result, options.owner, executed=applies)
    report.show(as_json=options.json)
    if not applies:
        return DIFFERENT if result.plan else DONE
    return FAILED if result.plan.blocked or report.stuck or result.failures else DONE


def _compares(options: Options) -> bool:
    """Returns whether `check` compares with a broker. An address in a variable alone may be for another command."""
    from_environment = options.url == os.environ.get(f"{ENVIRONMENT}URL")
    return bool(options.url) and not (from_environment and not all(getattr(options, name) for name in BROKER))


def _check_options(options: Options, usage_error: UsageError, topologies: list[LoadedTopology], *, files: bool) -> None:
    applies = options.command == "apply"
    for name in (*BROKER, *WITHOUT_FILES.get(options.command, ()), *(("secrets_dir",) if applies else ())):
        if not getattr(options, name):
            usage_error(f"--{name.replace('_', '-')} is required (or {ENVIRONMENT}{name.upper()})")
    if files and options.prune and not options.owner:
        usage_error("--prune needs --owner: only the record of an owner shows which objects are no longer declared")
    if applies and options.rotate and not options.owner:
        usage_error("--rotate needs --owner: only objects on the record of an owner are ever deleted")
    if files and not options.secrets_dir and any(u.rotation for item in topologies for u in item.spec.users.values()):
        usage_error("--secrets-dir is required: only the Secrets of rotated users show which ones are in use")
    if bool(options.cert_file) != bool(options.key_file):
        usage_error("--cert-file and --key-file go together")


def _check_files(topologies: list[LoadedTopology], *, as_json: bool) -> int:
    found = check(topologies)
    show_findings(topologies, found, as_json=as_json)
    if errors_in(found):
        return FAILED
    if not as_json:
        warnings = f"{len(found)} warning{'' if len(found) == 1 else 's'}" if found else "no findings"
        print_line(f"{topologies_and_objects(topologies)}: {warnings} (files only; --url compares with a broker)")
    return DONE


async def _apply(
    topologies: list[LoadedTopology], api: ManagementApi, secrets: CredentialStore, options: Options
) -> TopologyResult:
    progress = _progress if sys.stderr.isatty() else None
    if not options.owner:
        return await apply(topologies, api, secrets, progress, strict=False)
    return await apply_until_done(
        topologies,
        owner=options.owner,
        api=api,
        secrets=secrets,
        prune=options.prune,
        rotate=options.rotate,
        progress=progress,
        notify=lambda line: print_error(printable(line)),
    )


async def _compare(
    topologies: list[LoadedTopology], api: ManagementApi, secrets: CredentialStore, options: Options
) -> TopologyResult:
    account_credentials: dict[str, Sequence[Credentials]] = {}
    for item in topologies:
        if not options.secrets_dir:  # accept any password: no Secret is there to compare with
            account_credentials |= {name: (AnyPassword(name),) for name in item.spec.users}
        elif options.owner:
            account_credentials.update(await Rotator(secrets, api).current(item))
    return await reconcile(
        topologies,
        owner=options.owner or "",
        api=api,
        secrets=secrets,
        enforce=False,
        prune=options.prune,
        account_credentials=account_credentials,
    )


def _report(topologies: list[LoadedTopology], result: TopologyResult, owner: str, *, executed: bool) -> PlanReport:
    retained = result.of(Status.RETAINED)
    kept = tuple(each for each in retained if each.message != NEVER_PRUNED)
    unpruned = len(retained) - len(kept)
    notes = [f"{objects(unpruned)} of owner {owner} no longer in the files; --prune removes them"] if unpruned else []
    if result.plan or executed:
        notes += [f"{each}: {UNDECLARED}" for each in result.undeclared_bindings]
    stuck = [each for each in result.of(Status.BLOCKED) if each.message.startswith(CANNOT_MIGRATE)]
    return PlanReport(
        topologies,
        result.plan,
        executed,
        kept=kept,
        stuck=tuple(stuck) if executed else (),
        migrated=tuple(f"queue {each}" for each in result.migrated),
        failures=result.failures,
        notes=tuple(notes),
        warnings=result.warnings,
    )


async def _export(api: ManagementApi, options: Options) -> int:
    exported = await export(api, options.vhost, options.name)
    if options.secrets_dir:
        secrets = SecretDirectory(options.secrets_dir)
        for secret_name, credentials in exported.credentials.items():
            if await store_if_missing(secrets, secret_name, credentials) != credentials:
                raise TopologyError(f"secret {secret_name} in {options.secrets_dir} has other content; remove it")
    print(exported.text, end="")  # noqa: T201
    for each in exported.omissions:
        print_error(printable(f"left out: {each}"))
    return DONE if exported.complete else DIFFERENT


async def _owners(api: ManagementApi, options: Options) -> int:
    found = await owners(api)
    if options.json:
        print_json(msgspec.to_builtins(found))
        return DONE
    for each in found:
        print_line(str(each))
    if not found:
        print_line("no owners: no Topology was ever applied here with an owner")
    return DONE


async def _disown(api: ManagementApi, options: Options) -> int:
    count = await disown(api, options.owner)
    if options.json:
        print_json({"owner": options.owner, "objects": count})
    else:
        print_line(f"removed the record of {options.owner}; its {objects(count)} have no owner now")
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
