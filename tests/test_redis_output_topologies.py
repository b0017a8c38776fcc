"""The Redis output where there is more than one server: whatever moves or dies, each event is there once."""

from __future__ import annotations

import pytest
import redis_server
from deadlines import until, within
from redis_cluster import own_cluster
from redis_outputs import STREAM, config, everything_is_sent, following, ids, numbered, sent
from redis_sentinels import own_sentinels

from trio_cursor.eventlog import Entry
from trio_cursor.redis_keys import keys_of

pytestmark = pytest.mark.usefixtures("impatient")


@within(60)
@pytest.mark.parametrize("version", redis_server.versions())
async def test_sentinels_name_another_master(tmp_path, version):
    with own_sentinels(version=version) as sentinels:
        async with following(tmp_path, config(sentinels.url)) as (log, states):
            await log.append(Entry(events=numbered(1, 50)))
            await everything_is_sent(log, states)
            old, new = sentinels.failover()
            await log.append(Entry(events=numbered(51, 100)))
            await everything_is_sent(log, states)
            await until(lambda: states[0].state == "connected")
            assert sent(new) == ids((1, 100))
            old.start()
            await log.append(Entry(events=numbered(101, 110)))
            await everything_is_sent(log, states)
        assert sent(new) == ids((1, 110))


@within(60)
async def test_a_cluster_loses_a_master_and_moves_a_slot(tmp_path):
    shards = keys_of(STREAM, 4)
    with own_cluster(replicas=1) as cluster:
        async with following(tmp_path, config(cluster.url, shards=4)) as (log, states):
            await log.append(Entry(events=numbered(1, 80, workspaces=16)))
            await everything_is_sent(log, states)
            key = shards[0].stream
            cluster.kill_master_of(key)
            await log.append(Entry(events=numbered(81, 160, workspaces=16)))
            await everything_is_sent(log, states)
            moved = shards[1].stream
            cluster.move_slot(moved, cluster.other_than(cluster.node_of(moved)))
            await log.append(Entry(events=numbered(161, 200, workspaces=16)))
            await everything_is_sent(log, states)
            await until(lambda: {state.state for state in states} == {"connected"})
            found = [sent(cluster.node_of(keys.stream), keys.stream) for keys in shards]
        assert sorted(id_ for shard in found for id_ in shard) == sorted(ids((1, 200)))
