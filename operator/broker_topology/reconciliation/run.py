"""One run of `reconcile`, step by step."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.execution import ExecutionResult, Progress, StepFailure, carry_out, check_rights
from broker_topology.broker.leaderless import mark
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord, claims_of, declaring, digest, fingerprint
from broker_topology.credentials.secrets import SecretStore
from broker_topology.errors import InvalidTopology
from broker_topology.findings import refusing
from broker_topology.migration import migrator
from broker_topology.migration.context import MIGRATION_NOTE, HeldObject, MigrationContext, RunMigrations
from broker_topology.migration.state import under_way
from broker_topology.planning.desired import desired
from broker_topology.planning.plan import Action, Plan, PlanStep, plan
from broker_topology.planning.rendering import title
from broker_topology.planning.result import TopologyResult
from broker_topology.planning.state import BrokerState, Key, ObjectId, ObjectKind, empty, key
from broker_topology.reconciliation import claims, deletion
from broker_topology.reconciliation.deletion import DeletionAllowance, DeletionPlan, DeletionResult
from broker_topology.reconciliation.object_states import object_states
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import BrokerAccounts, Rotated, accounts
from broker_topology.rules.validation import findings

NEVER_PRUNED = "prune: Never"
replace = msgspec.structs.replace


class Reconciliation:
    """Call `read`, `decide`, and then either `told` or `carry_out`."""

    def __init__(
        self,
        topologies: Sequence[LoadedTopology],
        owner: str,
        peers: Sequence[LoadedTopology],
        api: ManagementApi,
        secrets: SecretStore,
        quiet_seconds: float,
    ) -> None:
        self._topologies = topologies
        self._owner = owner
        self._neighbours = peers
        self._api = api
        self._secrets = secrets
        self._quiet = quiet_seconds
        self._former: OwnerRecord | None = None
        self._record = OwnerRecord(owner)
        self._others: list[OwnerRecord] = []
        self._observed: BrokerState = empty()
        self._wanted: BrokerState = empty()
        self._accounts = BrokerAccounts({}, {})
        self._held: tuple[HeldObject, ...] = ()
        self._plan = Plan(())
        self._digest = ""
        self._warnings: tuple[str, ...] = ()
        self._migrated: tuple[Key, ...] = ()

    async def read(self) -> None:
        """The records first: what they name decides where to look."""
        known = await ownership.records(self._api)
        self._former = known.pop(self._owner, None)
        self._record = self._former or OwnerRecord(self._owner)
        self._others = list(known.values())
        self._observed = await self._observe()
        await mark(self._api, self._observed, self._record.declaring)

    async def decide(self, rotated: Rotated | None, *, generate: bool) -> None:
        """Checks everything, then finds the difference. Raises `InvalidTopology`, `SecretError`, `AccessDenied`."""
        wanted = desired(self._topologies)
        leaving = self._record.claims - claims_of(wanted)
        found = findings(self._topologies, self._neighbours, self._observed, leaving)
        if refused := refusing(found):
            raise InvalidTopology(refused)
        self._warnings = tuple(map(str, found))
        known = {record.owner: record for record in self._others}
        claims.check(self._topologies, self._owner, claims_of(wanted), known, self._neighbours)
        self._accounts = await accounts(self._topologies, self._secrets, rotated, generate=generate)
        self._wanted = desired(self._topologies, self._accounts.usernames)
        self._digest = digest(self._wanted)
        claims.check(self._topologies, self._owner, claims_of(self._wanted), known, self._neighbours)
        self._plan = self._difference()
        check_rights(self._api.username, self._plan, self._observed)

    async def told(self, *, prune: bool, patient: bool) -> TopologyResult:
        """What would happen. `patient`: counts of messages as `carry_out` takes them, which takes as long."""
        leaving = await self._leaving(prune=prune)
        going = leaving.doomed - leaving.kept.keys()
        if patient and any(kind is ObjectKind.QUEUE for kind, _ in going):
            await asyncio.sleep(self._quiet)
            leaving = await self._leaving(prune=prune, wait=True)
        ours = Plan(tuple([await self._foreseen(step) for step in self._plan.steps]))
        everything = Plan((*ours.steps, *leaving.steps(self._observed)))
        return self._outcome(everything, ours, ExecutionResult(), leaving.kept, carried_out=False)

    async def _foreseen(self, step: PlanStep) -> PlanStep:
        """A queue that is to be migrated, as `carry_out` would find it."""
        if step.kind is not ObjectKind.QUEUE or step.action is not Action.BLOCKED or not self._may_migrate(step.key):
            return step
        reason = await migrator.foreseen(self._api, step.key, step.body)
        if reason is not None:
            return replace(step, reason=f"{migrator.UNMOVABLE}: {reason}")
        return replace(step, action=Action.MIGRATE, reason="its messages move into a new queue of this name")

    async def carry_out(
        self, *, prune: bool, migrate: RunMigrations | None, progress: Progress | None
    ) -> TopologyResult:
        """Makes it so, and reads the broker back if anything was written."""
        await self._claim()
        if migrate is not None:
            await self._migrate(migrate)
        done = await carry_out(
            self._plan, self._api, self._accounts.credentials, self._wanted[ObjectKind.QUEUE], progress
        )
        leaving = await self._leaving(prune=prune)
        gone = leaving.steps(self._observed)
        removed = DeletionResult(leaving.kept, ())
        if gone and not done.failures:
            allowed = self._allowed()
            removed = await deletion.remove(leaving, self._observed, self._api, allowed, self._quiet)
            gone = tuple(step for step in gone if (step.kind, step.key) not in removed.kept)
        elif gone:
            removed = DeletionResult(
                {**leaving.kept, **dict.fromkeys(map(_object, gone), "something else failed first")}, ()
            )
            gone = ()
        carried, drift = self._plan, self._drift()
        if carried.writes or gone:
            self._observed = await self._observe()
        left = self._difference()
        done = ExecutionResult((*done.failures, *removed.failures), done.skipped)
        await self._conclude(done)
        outcome = self._outcome(Plan((*carried.steps, *gone)), left, done, removed.kept, carried_out=True)
        return replace(outcome, repaired=drift, migrated=self._migrated)

    async def _observe(self) -> BrokerState:
        places = {item.spec.vhost for item in self._topologies}
        places |= {each.vhost for _, each in self._record.claims if each.vhost}
        places |= {each.name[0] for kind, each in self._record.claims if kind is ObjectKind.VHOST}
        return await observe(self._api, places)

    def _difference(self) -> Plan:
        held = frozenset(each.object for each in self._held)
        found = plan(self._wanted, self._observed, self._accounts.credentials, held)
        return Plan(tuple(self._hinted(step) for step in found.steps))

    def _hinted(self, step: PlanStep) -> PlanStep:
        if step.action is not Action.BLOCKED or not step.changes:
            return step
        asked = step.kind is ObjectKind.QUEUE and self._may_migrate(step.key)
        hint = "; argumentChange: Migrate asks the operator to move its messages" if asked else migration_hint(step)
        return replace(step, reason=f"{step.reason}{hint}")

    def _may_migrate(self, queue: Key) -> bool:
        return any(
            item.spec.vhost == queue.vhost
            and (declared := item.spec.queues.get(queue.name[0])) is not None
            and declared.argument_change == "Migrate"
            for item in self._topologies
        )

    async def _claim(self) -> None:
        """Everything that will be there and everything that is still there, before anything is made."""
        wanted = claims_of(self._wanted)
        made = {
            vhost
            for (vhost,) in (each.name for each in self._wanted[ObjectKind.VHOST])
            if key(vhost) not in self._observed[ObjectKind.VHOST] or any(vhost in each.made for each in self._others)
        }
        changed = self._record.digest != self._digest
        record = replace(
            self._record,
            claims=wanted | self._there(self._record.claims),
            made=self._record.made | made,
            digest="" if changed else self._record.digest,
            notes=declaring(self._record.notes, self._record.declaring | self._declared()),
        )
        if record == self._record and self._former is not None:
            return
        if wanted <= self._record.claims:
            await ownership.write(self._api, record)
        else:
            await claims.acquire_claims(self._api, self._topologies, self._former, record, self._neighbours)
        self._former = self._record = record

    def _declared(self) -> frozenset[Key]:
        """Quorum queues that are about to be declared."""
        steps = (step for step in self._plan.writes if step.kind is ObjectKind.QUEUE)
        return frozenset(step.key for step in steps if step.body["arguments"]["x-queue-type"] == "quorum")

    async def _migrate(self, migrate: RunMigrations) -> None:
        asked = frozenset(each for each in self._wanted[ObjectKind.QUEUE] if self._may_migrate(each))
        blocked = {step.key for step in self._plan.blocked if step.kind is ObjectKind.QUEUE}
        begun = any(self._under_way(each) for each in self._wanted[ObjectKind.QUEUE])
        if not asked & blocked and MIGRATION_NOTE not in self._record.notes and not begun:
            return
        situation = MigrationContext(
            self._topologies[0], self._owner, self._record, self._wanted, self._observed, self._plan, self._api, asked
        )
        self._held = tuple(await migrate(situation))
        still = {each.key for each in self._held}
        begun_here = (asked & blocked) | {each for each in self._wanted[ObjectKind.QUEUE] if self._under_way(each)}
        self._migrated = tuple(sorted(begun_here - still))
        self._former = self._record = (await ownership.records(self._api)).get(self._owner, self._record)
        self._observed = await self._observe()
        await mark(self._api, self._observed, self._record.declaring)
        self._plan = self._difference()

    def _under_way(self, queue: Key) -> bool:
        return under_way(self._observed, queue.vhost, queue.name[0])

    async def _leaving(self, *, prune: bool, wait: bool = False) -> DeletionPlan:
        held = {each.object for each in self._held}
        unwanted = self._record.claims - claims_of(self._wanted) - held
        kept: dict[ObjectId, str] = {}
        if not prune:
            kept = {each: NEVER_PRUNED for each in self._there(unwanted) if not self._rotated_out(each)}
        found = await deletion.planned(
            unwanted - kept.keys(), self._observed, self._api, self._record, self._others, self._allowed(), wait=wait
        )
        return DeletionPlan(found.doomed, {**found.kept, **kept})

    def _rotated_out(self, each: ObjectId) -> bool:
        """A former account of a user that is still wanted, or one of its rights."""
        kind, identity = each
        account = identity.name[0]
        names = self._accounts.usernames.get(re.sub(r"\.[0-9]+$", "", account), ())
        return (kind is ObjectKind.USER or kind in claims.OF_USERS) and bool(names) and account not in names

    def _allowed(self) -> DeletionAllowance:
        return allowed(self._topologies)

    def _there(self, objects: frozenset[ObjectId]) -> frozenset[ObjectId]:
        return frozenset(each for each in objects if each[1] in self._observed[each[0]] or self._comes_back(each))

    def _comes_back(self, each: ObjectId) -> bool:
        """A binding that is away only until its queue has been migrated: without its claim nobody would remove it."""
        kind, identity = each
        if kind is not ObjectKind.BINDING or identity.name[1] != "queue":
            return False
        return under_way(self._observed, identity.vhost, identity.name[2])

    def _drift(self) -> tuple[PlanStep, ...]:
        """What differs although it was written once and nobody has asked for anything else since."""
        if not self._record.digest or self._record.digest != self._digest:
            return ()
        return tuple(step for step in self._plan.writes if not self._new_secret(step))

    def _new_secret(self, step: PlanStep) -> bool:
        """Whether only the Secret is another, and the broker's user is as it was left."""
        there = step.kind is ObjectKind.USER and self._observed[ObjectKind.USER].get(step.key)
        if not there or any(change.field != "password" for change in step.changes):
            return False
        return self._record.passwords.get(step.key.name[0]) == fingerprint(there["password_hash"])

    async def _conclude(self, done: ExecutionResult) -> None:
        """The record as it is now: without what is gone, with the digest of what is complete."""
        wanted = claims_of(self._wanted)
        users = {each.name[0] for each in self._wanted[ObjectKind.USER]}
        record = replace(
            self._record,
            claims=wanted | self._there(self._record.claims),
            made=frozenset(each for each in self._record.made if key(each) in self._observed[ObjectKind.VHOST]),
            digest="" if done.failures else self._digest,
            notes=declaring(self._record.notes, self._record.declaring if done.failures else ()),
            passwords={
                name: fingerprint(body["password_hash"])
                for (name,), body in ((each.name, body) for each, body in self._observed[ObjectKind.USER].items())
                if name in users
            },
        )
        if record != self._record:
            await ownership.write(self._api, record)
            self._record = record

    def _outcome(
        self, steps: Plan, left: Plan, done: ExecutionResult, kept: Mapping[ObjectId, str], *, carried_out: bool
    ) -> TopologyResult:
        states = object_states(self._wanted, left, done.failures, self._held, kept)
        drift = () if carried_out else self._drift()
        return TopologyResult(steps, states, drift, tuple(map(_told, done.failures)), (), self._warnings)


def allowed(topologies: Sequence[LoadedTopology]) -> DeletionAllowance:
    """What these resources name as deletable with messages."""
    specs = [item.spec for item in topologies]
    return DeletionAllowance(
        frozenset(key(name, spec.vhost) for spec in specs for name in spec.delete_with_messages.queues),
        frozenset(spec.vhost for spec in specs if spec.delete_with_messages.vhost == spec.vhost),
    )


def migration_hint(step: PlanStep) -> str:
    """What can be done about a blocked queue whose resource does not ask for a migration."""
    if step.kind is not ObjectKind.QUEUE or step.body["arguments"].get("x-queue-type") == "stream":
        return ""
    return "; argumentChange: Migrate would move its messages into a new queue of this name"


def _object(step: PlanStep) -> ObjectId:
    return step.kind, step.key


def _told(failure: StepFailure) -> tuple[str, str]:
    return title(failure.step), failure.reason
