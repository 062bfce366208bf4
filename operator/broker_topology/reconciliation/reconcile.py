"""Applies an owner's desired state to a broker, repairs drift, and deletes objects that are no longer declared.

One run: read the broker and the records of owners; check everything; write the owner's claims; create and update;
delete claimed objects that are no longer declared; read the broker again. A run may be interrupted at any request and
repeated. Without a difference nothing is written, and the number of read requests does not depend on the number of
objects.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from broker_topology.broker import ownership
from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.execution import ExecutionResult, Progress, check_permissions, execute_plan
from broker_topology.broker.leaderless import mark_leaderless_queues
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord, claims_of, digest, fingerprint, with_declaring_note
from broker_topology.credentials.secrets import CredentialStore
from broker_topology.errors import InvalidTopology
from broker_topology.findings import errors_in
from broker_topology.migration import migrator
from broker_topology.migration.context import MIGRATION_NOTE, HeldObject, Migrate, MigrationContext
from broker_topology.migration.state import under_way
from broker_topology.planning.desired import desired_state
from broker_topology.planning.plan import Action, Plan, PlanStep, plan
from broker_topology.planning.result import TopologyResult
from broker_topology.planning.state import (
    USER_OBJECTS,
    BrokerState,
    Key,
    ObjectId,
    ObjectKind,
    display_name,
    empty_state,
)
from broker_topology.reconciliation.claims import Claims
from broker_topology.reconciliation.deletion import Deletion, DeletionAllowance, DeletionPlan, DeletionResult
from broker_topology.reconciliation.object_states import object_states
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import AccountCredentials, BrokerAccounts, resolve_accounts
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
    account_credentials: AccountCredentials | None = None,
    migrate: Migrate | None = None,
    progress: Progress | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> TopologyResult:
    """Reconciles the resources of one owner.

    If they are None, `enforce` is true when every resource has `mode: Enforce`, and `prune` when every one has
    `prune: EmptyOnly`.

    With an empty `owner`, nothing is recorded or deleted, and objects of owners are not changed.

    `account_credentials` replaces the credentials in the Secrets of the users that it names.

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
    await run.decide(account_credentials, generate=enforce)
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
        self._record = OwnerRecord(owner)
        self._record_exists = False
        self._others: dict[str, OwnerRecord] = {}
        self._observed: BrokerState = empty_state()
        self._desired: BrokerState = empty_state()
        self._accounts = BrokerAccounts()
        self._held: tuple[HeldObject, ...] = ()
        self._plan = Plan(())
        self._digest = ""
        self._warnings: tuple[str, ...] = ()
        self._migrated: tuple[Key, ...] = ()

    async def read(self) -> None:
        """Reads the records first: they name the virtual hosts to observe."""
        self._others = await ownership.records(self._api)
        self._record_exists = self._owner in self._others
        self._record = self._others.pop(self._owner, self._record)
        await self._observe()
        await mark_leaderless_queues(self._api, self._observed, self._record.queues_being_declared)

    async def decide(self, account_credentials: AccountCredentials | None, *, generate: bool) -> None:
        """Checks everything, then plans. Raises `InvalidTopology`, `SecretError`, `AccessDenied`."""
        claims = claims_of(desired_state(self._topologies))
        found = check(self._topologies, self._peers, self._observed, self._record.claims - claims)
        if errors := errors_in(found):
            raise InvalidTopology(errors)
        self._warnings = tuple(map(str, found))
        if self._owner:
            self._claims.check(claims, self._others)
        else:
            await self._plan_with_accounts(account_credentials, generate=False)
            self._claims.check(frozenset(step.object for step in self._plan.writes), self._others)
        await self._plan_with_accounts(account_credentials, generate=generate)
        if self._owner:
            self._claims.check(claims_of(self._desired), self._others)
        check_permissions(self._api.username, self._plan, self._observed)

    async def _plan_with_accounts(self, account_credentials: AccountCredentials | None, *, generate: bool) -> None:
        self._accounts = await resolve_accounts(self._topologies, self._secrets, account_credentials, generate=generate)
        self._desired = desired_state(self._topologies, self._accounts.usernames)
        self._digest = digest(self._desired)
        self._plan = self._difference()

    async def preview(self, *, prune: bool) -> TopologyResult:
        """Returns the result that `enforce` would have, as far as it is known now."""
        deletion = await self._plan_deletion(prune=prune)
        to_delete = deletion.candidates - deletion.kept.keys()
        if any(kind is ObjectKind.QUEUE for kind, _ in to_delete):
            await asyncio.sleep(self._quiet_seconds)
            deletion = await self._plan_deletion(prune=prune, wait=True)
        steps = Plan(tuple([await self._as_migration(step) for step in self._plan.steps]))
        everything = Plan((*steps.steps, *deletion.steps(self._observed)))
        return replace(self._result(everything, steps, ExecutionResult(), deletion.kept), repaired=self._drift())

    async def _as_migration(self, step: PlanStep) -> PlanStep:
        """Returns the step as a migration would execute it."""
        migratable = step.kind is ObjectKind.QUEUE and step.action is Action.BLOCKED and self._may_migrate(step.key)
        if not migratable or not self._owner:
            return step
        reason = await migrator.foreseen_refusal(self._api, step.key, step.body)
        if reason is not None:
            return replace(step, reason=f"{migrator.CANNOT_MIGRATE}: {reason}")
        return replace(step, action=Action.MIGRATE, reason="its messages move into a new queue of the same name")

    async def enforce(self, *, prune: bool, migrate: Migrate | None, progress: Progress | None) -> TopologyResult:
        """Executes the plan, and reads the broker again if anything was written."""
        if self._owner:
            await self._claim()
        if migrate is not None:
            await self._migrate(migrate)
        execution = await execute_plan(
            self._plan, self._api, self._accounts.credentials, self._desired[ObjectKind.QUEUE], progress
        )
        deletion = await self._plan_deletion(prune=prune)
        deleted = deletion.steps(self._observed)
        deletion_result = DeletionResult(deletion.kept)
        if deleted and not execution.failures:
            deletion_result = await self._deletion().execute(deletion)
            deleted = tuple(step for step in deleted if step.object not in deletion_result.kept)
        elif deleted:
            postponed = dict.fromkeys((step.object for step in deleted), "another step failed first")
            deletion_result, deleted = DeletionResult({**deletion.kept, **postponed}), ()
        executed, drift = self._plan, self._drift()
        if executed.writes or deleted:
            await self._observe()
        remaining = self._difference()
        execution = replace(execution, failures=(*execution.failures, *deletion_result.failures))
        if self._owner:
            await self._update_record(execution)
        result = self._result(Plan((*executed.steps, *deleted)), remaining, execution, deletion_result.kept)
        return replace(result, repaired=drift, migrated=self._migrated)

    async def _observe(self) -> None:
        vhosts = {item.spec.vhost for item in self._topologies} | self._record.vhosts
        self._observed = await observe(self._api, vhosts)

    def _difference(self) -> Plan:
        held = frozenset(each.object for each in self._held)
        steps = plan(self._desired, self._observed, self._accounts.credentials, held).steps
        return Plan(tuple(self._with_hint(step) for step in steps))

    def _with_hint(self, step: PlanStep) -> PlanStep:
        if step.action is not Action.BLOCKED or not step.changes:
            return step
        requested = step.kind is ObjectKind.QUEUE and self._may_migrate(step.key)
        if step.kind is not ObjectKind.QUEUE or step.body["arguments"].get("x-queue-type") == "stream":
            return step
        condition = "" if self._owner else " and --owner"
        moves = "moves" if requested and self._owner else "would move"
        hint = f"argumentChange: Migrate{condition} {moves} the queue's messages into a new queue of the same name"
        return replace(step, reason=f"{step.reason}; {hint}")

    def _may_migrate(self, queue: Key) -> bool:
        return any(
            item.spec.vhost == queue.vhost
            and (declared := item.spec.queues.get(queue.name[0])) is not None
            and declared.argument_change == "Migrate"
            for item in self._topologies
        )

    async def _claim(self) -> None:
        """Claims every object that will exist and every one that still exists, before anything is created."""
        claims = claims_of(self._desired)
        created_vhosts = {
            vhost
            for (vhost,) in (each.name for each in self._desired[ObjectKind.VHOST])
            if Key.of(vhost) not in self._observed[ObjectKind.VHOST]
            or any(vhost in each.created_vhosts for each in self._others.values())
        }
        steps = (step for step in self._plan.writes if step.kind is ObjectKind.QUEUE)
        quorum = {step.key for step in steps if step.body["arguments"]["x-queue-type"] == "quorum"}
        record = replace(
            self._record,
            claims=claims | self._existing(self._record.claims),
            created_vhosts=self._record.created_vhosts | created_vhosts,
            digest=self._digest if self._record.digest == self._digest else "",
            notes=with_declaring_note(self._record.notes, self._record.queues_being_declared | quorum),
        )
        if record == self._record and self._record_exists:
            return
        if claims <= self._record.claims:
            await ownership.write(self._api, record)
        else:
            await self._claims.acquire(self._api, self._record if self._record_exists else None, record)
        self._record, self._record_exists = record, True

    async def _migrate(self, migrate: Migrate) -> None:
        requested = frozenset(each for each in self._desired[ObjectKind.QUEUE] if self._may_migrate(each))
        blocked = {step.key for step in self._plan.blocked if step.kind is ObjectKind.QUEUE} & requested
        begun = self._migrations_under_way()
        if not blocked and not begun and MIGRATION_NOTE not in self._record.notes:
            return
        context = MigrationContext(
            self._topologies[0],
            self._owner,
            self._record,
            self._desired,
            self._observed,
            self._plan,
            self._api,
            requested,
        )
        self._held = tuple(await migrate(context))
        begun = blocked | self._migrations_under_way()
        self._migrated = tuple(sorted(begun - {each.key for each in self._held}))
        self._record = (await ownership.records(self._api)).get(self._owner, self._record)
        await self._observe()
        await mark_leaderless_queues(self._api, self._observed, self._record.queues_being_declared)
        self._plan = self._difference()

    def _migrations_under_way(self) -> set[Key]:
        queues = self._desired[ObjectKind.QUEUE]
        return {queue for queue in queues if under_way(self._observed, queue.vhost, queue.name[0])}

    async def _plan_deletion(self, *, prune: bool, wait: bool = False) -> DeletionPlan:
        undeclared = self._record.claims - claims_of(self._desired) - {each.object for each in self._held}
        kept: dict[ObjectId, str] = {}
        if not prune:
            kept = {each: NEVER_PRUNED for each in self._existing(undeclared) if not self._is_rotated_out(each)}
        deletion = await self._deletion().plan(undeclared - kept.keys(), wait=wait)
        return DeletionPlan(deletion.candidates, {**deletion.kept, **kept})

    def _deletion(self) -> Deletion:
        others = self._others.values()
        return Deletion(self._api, self._observed, self._record, others, self._allowance, self._quiet_seconds)

    def _is_rotated_out(self, object_id: ObjectId) -> bool:
        """Returns whether it is a previous account of a declared user, or a permission or limit of that account."""
        kind, key = object_id
        account = key.name[0]
        names = self._accounts.usernames.get(re.sub(r"\.[0-9]+$", "", account), ())
        return kind in {ObjectKind.USER, *USER_OBJECTS} and bool(names) and account not in names

    def _existing(self, objects: frozenset[ObjectId]) -> frozenset[ObjectId]:
        return frozenset(
            (kind, key)
            for kind, key in objects
            if key in self._observed[kind] or self._is_restored_by_migration(kind, key)
        )

    def _is_restored_by_migration(self, kind: ObjectKind, key: Key) -> bool:
        """Returns whether it is a binding that a migration restores: without its claim it would never be deleted."""
        if kind is not ObjectKind.BINDING or key.name[1] != "queue":
            return False
        return under_way(self._observed, key.vhost, key.name[2])

    def _drift(self) -> tuple[PlanStep, ...]:
        """Returns the steps for objects that were written before and whose desired state has not changed since."""
        if not self._record.digest or self._record.digest != self._digest:
            return ()
        return tuple(step for step in self._plan.writes if not self._is_new_secret(step))

    def _is_new_secret(self, step: PlanStep) -> bool:
        """Returns whether only the Secret has changed, and the broker's user is as it was written."""
        there = step.kind is ObjectKind.USER and self._observed[ObjectKind.USER].get(step.key)
        if not there or any(change.field != "password" for change in step.changes):
            return False
        return self._record.passwords.get(step.key.name[0]) == fingerprint(there["password_hash"])

    async def _update_record(self, execution: ExecutionResult) -> None:
        """Removes deleted objects from the record, and stores the digest if everything is written."""
        record = replace(
            self._record,
            claims=claims_of(self._desired) | self._existing(self._record.claims),
            created_vhosts=frozenset(
                each for each in self._record.created_vhosts if Key.of(each) in self._observed[ObjectKind.VHOST]
            ),
            digest="" if execution.failures else self._digest,
            notes=with_declaring_note(
                self._record.notes, self._record.queues_being_declared if execution.failures else ()
            ),
            passwords={
                user.name[0]: fingerprint(self._observed[ObjectKind.USER][user]["password_hash"])
                for user in self._desired[ObjectKind.USER]
                if user in self._observed[ObjectKind.USER]
            },
        )
        if record != self._record:
            await ownership.write(self._api, record)
            self._record = record

    def _result(
        self, steps: Plan, remaining: Plan, execution: ExecutionResult, kept: Mapping[ObjectId, str]
    ) -> TopologyResult:
        return TopologyResult(
            steps,
            object_states(self._desired, remaining, execution.failures, self._held, kept),
            failures=execution.failed_steps,
            skipped=execution.skipped_steps,
            warnings=self._warnings,
            undeclared_bindings=() if self._owner else tuple(self._undeclared_bindings()),
        )

    def _undeclared_bindings(self) -> Iterator[str]:
        """Yields the unclaimed bindings of declared queues that no file declares.

        A run without owner has no record of its bindings: one removed from the files looks like another client's.
        """
        claimed = {key for record in self._others.values() for _, key in record.claims}
        observed, desired = self._observed[ObjectKind.BINDING], self._desired[ObjectKind.BINDING]
        for key in sorted(observed.keys() - desired.keys() - claimed):
            _, kind, target, *_ = key.name
            if kind == "queue" and Key.of(target, key.vhost) in self._desired[ObjectKind.QUEUE]:
                yield f"binding {display_name(ObjectKind.BINDING, key)}"
