"""Brings a broker to the wanted state of an owner, repairs drift, and deletes what the owner no longer wants.

One run: read the broker and the records of owners; check everything; write the own claims; create and update; delete
what the owner has and no longer names; read the broker again. A run may be interrupted at any request and repeated.
Without a difference nothing is written, and the number of read requests does not depend on the number of objects.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from broker_topology.broker import ownership
from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.execution import ExecutionResult, Progress, check_rights, execute_plan
from broker_topology.broker.leaderless import mark
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord, claims_of, declaring, digest, fingerprint
from broker_topology.credentials.secrets import CredentialStore
from broker_topology.errors import InvalidTopology
from broker_topology.findings import errors_in
from broker_topology.migration import migrator
from broker_topology.migration.context import MIGRATION_NOTE, HeldObject, Migrate, MigrationContext
from broker_topology.migration.state import under_way
from broker_topology.planning.desired import desired
from broker_topology.planning.plan import Action, Plan, PlanStep, plan
from broker_topology.planning.result import TopologyResult
from broker_topology.planning.state import (
    USER_RIGHTS,
    BrokerState,
    Key,
    ObjectId,
    ObjectKind,
    display_name,
    empty_state,
    key,
)
from broker_topology.reconciliation.claims import Claims
from broker_topology.reconciliation.deletion import Deletion, DeletionAllowance, DeletionPlan, DeletionResult
from broker_topology.reconciliation.object_states import object_states
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import AccountCredentials, BrokerAccounts, accounts
from broker_topology.rules.validation import check

NEVER_PRUNED = "prune: Never"


async def reconcile(
    topologies: Sequence[LoadedTopology],
    *,
    owner: str,
    api: ManagementApi,
    secrets: CredentialStore,
    peers: Sequence[LoadedTopology] = (),
    enforce: bool | None = None,
    prune: bool | None = None,
    accounts: AccountCredentials | None = None,
    migrate: Migrate | None = None,
    progress: Progress | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> TopologyResult:
    """Reconcile the resources of one owner.

    If they are None, `enforce` is true when every resource has `mode: Enforce`, and `prune` when every one has
    `prune: EmptyOnly`.

    With an empty `owner`, nothing is recorded or deleted, and objects of owners are not changed.

    `peers` are the other resources for the same broker; references to their objects are valid. Without `enforce`
    nothing is written; like a real run, a preview waits `quiet_seconds` before it reports a queue as empty. The result
    has the declarations that the broker refuses.

    Raises, having written nothing: `InvalidTopology`, `OwnershipConflict`, `SecretError`, `AccessDenied`. Raises
    `BrokerError` when the broker does not answer.
    """
    if enforce is None:
        enforce = all(item.spec.mode == "Enforce" for item in topologies)
    if prune is None:
        prune = all(item.spec.prune == "EmptyOnly" for item in topologies)
    run = Reconciliation(topologies, owner, peers, api, secrets, quiet_seconds)
    await run.read()
    await run.decide(accounts, generate=enforce)
    return await (run.enforce(prune=prune, migrate=migrate, progress=progress) if enforce else run.preview(prune=prune))


class Reconciliation:
    """One run of `reconcile`: call `read`, `decide`, and then `preview` or `enforce`."""

    def __init__(
        self,
        topologies: Sequence[LoadedTopology],
        owner: str,
        peers: Sequence[LoadedTopology],
        api: ManagementApi,
        secrets: CredentialStore,
        quiet_seconds: float,
    ) -> None:
        self._topologies = topologies
        self._owner = owner
        self._peers = peers
        self._claims = Claims(topologies, owner, peers)
        self._api = api
        self._secrets = secrets
        self._quiet_seconds = quiet_seconds
        self._allowance = DeletionAllowance.of(topologies)
        self._stored: OwnerRecord | None = None
        self._record = OwnerRecord(owner)
        self._others: dict[str, OwnerRecord] = {}
        self._observed: BrokerState = empty_state()
        self._wanted: BrokerState = empty_state()
        self._accounts = BrokerAccounts()
        self._held: tuple[HeldObject, ...] = ()
        self._plan = Plan(())
        self._digest = ""
        self._warnings: tuple[str, ...] = ()
        self._migrated: tuple[Key, ...] = ()

    async def read(self) -> None:
        """Reads the records first: they name the virtual hosts to observe."""
        self._others = await ownership.records(self._api)
        self._stored = self._others.pop(self._owner, None)
        self._record = self._stored or OwnerRecord(self._owner)
        await self._observe()
        await mark(self._api, self._observed, self._record.declaring)

    async def decide(self, rotated: AccountCredentials | None, *, generate: bool) -> None:
        """Checks everything, then plans. Raises `InvalidTopology`, `SecretError`, `AccessDenied`."""
        claims = claims_of(desired(self._topologies))
        found = check(self._topologies, self._peers, self._observed, self._record.claims - claims)
        if errors := errors_in(found):
            raise InvalidTopology(errors)
        self._warnings = tuple(map(str, found))
        if self._owner:
            self._claims.check(claims, self._others)
        else:
            await self._use_accounts(rotated, generate=False)
            self._claims.check(frozenset(step.object for step in self._plan.writes), self._others)
        await self._use_accounts(rotated, generate=generate)
        if self._owner:
            self._claims.check(claims_of(self._wanted), self._others)
        check_rights(self._api.username, self._plan, self._observed)

    async def _use_accounts(self, rotated: AccountCredentials | None, *, generate: bool) -> None:
        self._accounts = await accounts(self._topologies, self._secrets, rotated, generate=generate)
        self._wanted = desired(self._topologies, self._accounts.usernames)
        self._digest = digest(self._wanted)
        self._plan = self._difference()

    async def preview(self, *, prune: bool) -> TopologyResult:
        """The result that `enforce` would have, as far as it is known now."""
        deletion = await self._plan_deletion(prune=prune)
        going = deletion.candidates - deletion.kept.keys()
        if any(kind is ObjectKind.QUEUE for kind, _ in going):
            await asyncio.sleep(self._quiet_seconds)
            deletion = await self._plan_deletion(prune=prune, wait=True)
        steps = Plan(tuple([await self._foreseen(step) for step in self._plan.steps]))
        everything = Plan((*steps.steps, *deletion.steps(self._observed)))
        return replace(self._result(everything, steps, ExecutionResult(), deletion.kept), repaired=self._drift())

    async def _foreseen(self, step: PlanStep) -> PlanStep:
        """The step as a migration would execute it."""
        migratable = step.kind is ObjectKind.QUEUE and step.action is Action.BLOCKED and self._may_migrate(step.key)
        if not migratable or not self._owner:
            return step
        reason = await migrator.foreseen_refusal(self._api, step.key, step.body)
        if reason is not None:
            return replace(step, reason=f"{migrator.CANNOT_MIGRATE}: {reason}")
        return replace(step, action=Action.MIGRATE, reason="its messages move into a new queue of this name")

    async def enforce(self, *, prune: bool, migrate: Migrate | None, progress: Progress | None) -> TopologyResult:
        """Executes the plan, and reads the broker again if anything was written."""
        if self._owner:
            await self._claim()
        if migrate is not None:
            await self._migrate(migrate)
        done = await execute_plan(
            self._plan, self._api, self._accounts.credentials, self._wanted[ObjectKind.QUEUE], progress
        )
        deletion = await self._plan_deletion(prune=prune)
        deleted = deletion.steps(self._observed)
        deletion_result = DeletionResult(deletion.kept)
        if deleted and not done.failures:
            deletion_result = await self._deletion().execute(deletion)
            deleted = tuple(step for step in deleted if step.object not in deletion_result.kept)
        elif deleted:
            postponed = dict.fromkeys((step.object for step in deleted), "another step failed first")
            deletion_result, deleted = DeletionResult({**deletion.kept, **postponed}), ()
        executed, drift = self._plan, self._drift()
        if executed.writes or deleted:
            await self._observe()
        left = self._difference()
        done = ExecutionResult((*done.failures, *deletion_result.failures), done.skipped)
        if self._owner:
            await self._conclude(done)
        result = self._result(Plan((*executed.steps, *deleted)), left, done, deletion_result.kept)
        return replace(result, repaired=drift, migrated=self._migrated)

    async def _observe(self) -> None:
        vhosts = {item.spec.vhost for item in self._topologies} | self._record.vhosts
        self._observed = await observe(self._api, vhosts)

    def _difference(self) -> Plan:
        held = frozenset(each.object for each in self._held)
        found = plan(self._wanted, self._observed, self._accounts.credentials, held)
        return Plan(tuple(self._with_hint(step) for step in found.steps))

    def _with_hint(self, step: PlanStep) -> PlanStep:
        if step.action is not Action.BLOCKED or not step.changes:
            return step
        requested = step.kind is ObjectKind.QUEUE and self._may_migrate(step.key)
        if step.kind is not ObjectKind.QUEUE or step.body["arguments"].get("x-queue-type") == "stream":
            return step
        if requested and self._owner:
            hint = "argumentChange: Migrate asks the operator to move its messages"
        else:
            condition = "" if self._owner else ", with --owner"
            hint = f"argumentChange: Migrate would move its messages into a new queue of this name{condition}"
        return replace(step, reason=f"{step.reason}; {hint}")

    def _may_migrate(self, queue: Key) -> bool:
        return any(
            item.spec.vhost == queue.vhost
            and (declared := item.spec.queues.get(queue.name[0])) is not None
            and declared.argument_change == "Migrate"
            for item in self._topologies
        )

    async def _claim(self) -> None:
        """Claims every object that will exist and every one that still exists, before anything is made."""
        wanted = claims_of(self._wanted)
        made = {
            vhost
            for (vhost,) in (each.name for each in self._wanted[ObjectKind.VHOST])
            if key(vhost) not in self._observed[ObjectKind.VHOST]
            or any(vhost in each.made for each in self._others.values())
        }
        steps = (step for step in self._plan.writes if step.kind is ObjectKind.QUEUE)
        quorum = {step.key for step in steps if step.body["arguments"]["x-queue-type"] == "quorum"}
        record = replace(
            self._record,
            claims=wanted | self._existing(self._record.claims),
            made=self._record.made | made,
            digest=self._digest if self._record.digest == self._digest else "",
            notes=declaring(self._record.notes, self._record.declaring | quorum),
        )
        if record == self._record and self._stored is not None:
            return
        if wanted <= self._record.claims:
            await ownership.write(self._api, record)
        else:
            await self._claims.acquire(self._api, self._stored, record)
        self._stored = self._record = record

    async def _migrate(self, migrate: Migrate) -> None:
        requested = frozenset(each for each in self._wanted[ObjectKind.QUEUE] if self._may_migrate(each))
        blocked = {step.key for step in self._plan.blocked if step.kind is ObjectKind.QUEUE} & requested
        begun = {each for each in self._wanted[ObjectKind.QUEUE] if self._is_under_way(each)}
        if not blocked and not begun and MIGRATION_NOTE not in self._record.notes:
            return
        context = MigrationContext(
            self._topologies[0],
            self._owner,
            self._record,
            self._wanted,
            self._observed,
            self._plan,
            self._api,
            requested,
        )
        self._held = tuple(await migrate(context))
        begun = blocked | {each for each in self._wanted[ObjectKind.QUEUE] if self._is_under_way(each)}
        self._migrated = tuple(sorted(begun - {each.key for each in self._held}))
        self._stored = self._record = (await ownership.records(self._api)).get(self._owner, self._record)
        await self._observe()
        await mark(self._api, self._observed, self._record.declaring)
        self._plan = self._difference()

    def _is_under_way(self, queue: Key) -> bool:
        return under_way(self._observed, queue.vhost, queue.name[0])

    async def _plan_deletion(self, *, prune: bool, wait: bool = False) -> DeletionPlan:
        unwanted = self._record.claims - claims_of(self._wanted) - {each.object for each in self._held}
        kept: dict[ObjectId, str] = {}
        if not prune:
            kept = {each: NEVER_PRUNED for each in self._existing(unwanted) if not self._is_rotated_out(each)}
        found = await self._deletion().plan(unwanted - kept.keys(), wait=wait)
        return DeletionPlan(found.candidates, {**found.kept, **kept})

    def _deletion(self) -> Deletion:
        others = self._others.values()
        return Deletion(self._api, self._observed, self._record, others, self._allowance, self._quiet_seconds)

    def _is_rotated_out(self, each: ObjectId) -> bool:
        """Whether it is a previous account of a user that is still wanted, or one of its rights."""
        kind, identity = each
        account = identity.name[0]
        names = self._accounts.usernames.get(re.sub(r"\.[0-9]+$", "", account), ())
        return kind in {ObjectKind.USER, *USER_RIGHTS} and bool(names) and account not in names

    def _existing(self, objects: frozenset[ObjectId]) -> frozenset[ObjectId]:
        return frozenset(each for each in objects if each[1] in self._observed[each[0]] or self._returns(each))

    def _returns(self, each: ObjectId) -> bool:
        """Whether it is a binding that a migration restores: without its claim it would never be deleted."""
        kind, identity = each
        if kind is not ObjectKind.BINDING or identity.name[1] != "queue":
            return False
        return under_way(self._observed, identity.vhost, identity.name[2])

    def _drift(self) -> tuple[PlanStep, ...]:
        """The steps for objects that were written before and whose wanted state has not changed since."""
        if not self._record.digest or self._record.digest != self._digest:
            return ()
        return tuple(step for step in self._plan.writes if not self._is_new_secret(step))

    def _is_new_secret(self, step: PlanStep) -> bool:
        """Whether only the Secret has changed, and the broker's user is as it was written."""
        there = step.kind is ObjectKind.USER and self._observed[ObjectKind.USER].get(step.key)
        if not there or any(change.field != "password" for change in step.changes):
            return False
        return self._record.passwords.get(step.key.name[0]) == fingerprint(there["password_hash"])

    async def _conclude(self, done: ExecutionResult) -> None:
        """Updates the record: removes deleted objects, and stores the digest if everything is written."""
        record = replace(
            self._record,
            claims=claims_of(self._wanted) | self._existing(self._record.claims),
            made=frozenset(each for each in self._record.made if key(each) in self._observed[ObjectKind.VHOST]),
            digest="" if done.failures else self._digest,
            notes=declaring(self._record.notes, self._record.declaring if done.failures else ()),
            passwords={
                user.name[0]: fingerprint(self._observed[ObjectKind.USER][user]["password_hash"])
                for user in self._wanted[ObjectKind.USER]
                if user in self._observed[ObjectKind.USER]
            },
        )
        if record != self._record:
            await ownership.write(self._api, record)
            self._record = record

    def _result(self, steps: Plan, left: Plan, done: ExecutionResult, kept: Mapping[ObjectId, str]) -> TopologyResult:
        return TopologyResult(
            steps,
            object_states(self._wanted, left, done.failures, self._held, kept),
            failures=done.failed_steps,
            skipped=done.skipped_steps,
            warnings=self._warnings,
            unnamed=() if self._owner else tuple(self._unnamed()),
        )

    def _unnamed(self) -> Iterator[str]:
        """Return unclaimed bindings of the declared queues that no file declares.

        A run without owner has no record of its bindings: one removed from the files looks like another client's.
        """
        claimed = {identity for record in self._others.values() for _, identity in record.claims}
        observed, wanted = self._observed[ObjectKind.BINDING], self._wanted[ObjectKind.BINDING]
        for identity in sorted(observed.keys() - wanted.keys() - claimed):
            _, kind, target, *_ = identity.name
            if kind == "queue" and key(target, identity.vhost) in self._wanted[ObjectKind.QUEUE]:
                yield f"binding {display_name(ObjectKind.BINDING, identity)}"
