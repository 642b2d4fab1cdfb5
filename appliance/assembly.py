"""Makes the larger parts of a running service out of a box and what they need of each other. The service says in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.alerting.alerting import Alerting
from appliance.batching.side import BatchSide
from appliance.box import Box
from appliance.cold.lake import Damage
from appliance.config import Config
from appliance.hybrid.cache.cache import Cache
from appliance.observe.jobs import RunRow
from appliance.observe.status import Status
from appliance.reconcile.past import make_history
from appliance.reconcile.start import put_aside
from appliance.roll.expiring import needed_by_views
from appliance.roll.keeper import Keeper
from appliance.serving.path_desk import PathDesk
from appliance.serving.push import SESSIONS, Hub, topic_of
from appliance.serving.queries import Queries
from appliance.serving.shelf import Shelf
from appliance.serving.source import Store, pinned_reader
from appliance.serving.state_tables import TABLES, live_health


def make_cache(box: Box, config: Config) -> Cache:
    """What is kept of answers; nothing yet."""
    return Cache(config.cache, state=lambda: box.state, own={*TABLES, "_health"})


def make_store(box: Box, config: Config, status: Callable[[], Status], shelf: Shelf | None = None) -> Store:
    """Where queries read from; ``status`` is asked when somebody reads the health of the box, ``shelf`` has parts of earlier answers."""
    return Store(
        state=lambda: box.state,
        reader=lambda: pinned_reader(box.folder),
        latest=lambda stream: box.last_values(stream.name),
        tables={**TABLES, "_health": live_health(status)},
        hot_bytes_max=config.query.memory_max,
        damaged=lambda segment, reason: put_aside(box, Damage(segment, reason)),
        damaged_view=lambda path: box.writer.call(lambda c: c.views.lose(path)).result(),
        shelf=shelf,
    )


def make_alerting(box: Box, config: Config, hub: Hub, *, step: Callable[[str], None]) -> Alerting:
    """Rules, alerts and who is told. Blocks for what was stored."""
    return Alerting(
        box,
        config,
        history=make_history(box),
        reader=lambda: pinned_reader(box.folder),
        clock=box.clock,
        publish=hub.publish_transitions,
        publish_session=lambda session: hub.publish(SESSIONS, "session", session, None),
        step=step,
    )


def make_keeper(box: Box, batch: BatchSide, *, step: Callable[[str], None]) -> Keeper:
    """The housekeeper: rolls, compaction, retention."""
    return Keeper(
        box,
        clock=box.clock,
        leased=batch.leased,
        put_aside=lambda d: put_aside(box, d),
        step=step,
        finished=batch.queue.note,
        past=make_history(box),
        holds=lambda: needed_by_views(box.state),
        other_bytes=lambda: sum(v.bytes for view in box.state.views.values() for v in (view.active, view.building) if v is not None),
    )


def make_batch(
    box: Box,
    config: Config,
    *,
    queries: Queries,
    store: Store,
    hub: Hub,
    paths: PathDesk,
    elsewhere: Callable[[], Sequence[RunRow]],
    step: Callable[[str], None],
) -> BatchSide:
    """Batch work, with its queue; ``elsewhere`` is what runs outside of that. Blocks for what was stored."""
    return BatchSide(
        box,
        config,
        queries=queries,
        store=store,
        clock=box.clock,
        publish=lambda event, data: hub.publish(topic_of(event), event, data, None),
        path_of=paths.path_of,
        elsewhere=elsewhere,
        step=step,
    )
