"""The way to a stream in real clusters and by real sentinels, while slots move and masters die."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial

import pytest
import redis_server
import trio
from deadlines import until, within
from redis_cluster import own_cluster
from redis_sentinels import NAME, own_sentinels

from trio_cursor.config.output_sections import RedisConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_link import Link
from trio_cursor.redis_nodes import KnownNodes
from trio_cursor.redis_streams import StreamReader, thread_limiter
from trio_cursor.redis_trouble import StreamError, Trouble

STREAM = "telemetry:events"
#: In the slot of the stream.
MARKER = f"{{{STREAM}}}:seen:1"


@asynccontextmanager
async def reading(url, known=None, stream=STREAM, **more):
    address = address_of(RedisConfig(url=url, **more))
    reader = StreamReader(address, stream, limiter=thread_limiter(), block_ms=50, known=known)
    try:
        with trio.fail_after(30):
            yield reader
    finally:
        await reader.aclose()


@contextmanager
def linking(url, known=None):
    link = Link(address_of(RedisConfig(url=url)), STREAM, answer_seconds=2, known=known)
    try:
        yield link
    finally:
        link.close()


def trouble_of(link, *words):
    """What a link says that has been good until now; it is of no more use then."""
    with pytest.raises(StreamError) as caught:
        link.run(partial(link.ask, *words))
    assert link.cut() is False
    return caught.value


async def ids_at_last(url, known=None):
    """What is in the stream, by one new reader after the other until one is led there."""
    while True:
        try:
            async with reading(url, known) as reader:
                assert (await reader.info()) is not None
                return [id_ for id_, _ in await reader.read("0-0")]
        except StreamError as error:
            if error.trouble not in (Trouble.AWAY, Trouble.STALLED):  # it would be tried again too late
                raise
            await trio.sleep(0.02)


def known_of(url):
    return KnownNodes(address_of(RedisConfig(url=url)).hosts)


def url_of(*nodes):
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


# --- clusters ---


@pytest.fixture(scope="module")
def clusters():
    """One of each version, whose nodes are not to be killed; the 2 s that they take are those of all."""
    with ExitStack() as stack:
        found = {
            version: stack.enter_context(own_cluster(version=version, is_waited_for=False))
            for version in redis_server.versions()
        }
        for cluster in found.values():
            cluster.wait_until_well()
        yield found


@pytest.fixture(params=redis_server.versions())
def cluster(request, clusters):
    """One with an entry in the stream, at the same node every time."""
    cluster = clusters[request.param]
    home = cluster.nodes[0]
    if cluster.node_of(STREAM) is not home:
        cluster.move_slot(STREAM, home)
    for key in (STREAM, MARKER):
        home.call("DEL", key)
    home.add(STREAM, {"a": "b"}, "1-0")
    return cluster


@within(60)
async def test_every_node_of_a_cluster_leads_to_the_stream(cluster):
    for node in cluster.nodes:
        known = known_of(url_of(node))
        assert await ids_at_last(url_of(node), known) == ["1-0"]
        # The one that has it is asked first from now on, and all have been heard of.
        hosts = [("127.0.0.1", one.port) for one in cluster.nodes]
        assert known.in_order()[0] == hosts[0]
        assert sorted(known.in_order()) == sorted(hosts)


@within(60)
async def test_a_slot_that_moves_while_we_are_connected(cluster):
    known = known_of(cluster.url)
    source, target = cluster.nodes[:2]
    async with reading(cluster.url, known) as reader:
        assert (await reader.info()).length == 1
        cluster.move_slot(STREAM, target)
        with pytest.raises(StreamError, match="MOVED") as caught:
            await reader.read("0-0")
        assert caught.value.trouble is Trouble.AWAY
    assert await ids_at_last(cluster.url, known) == ["1-0"]
    assert await ids_at_last(url_of(source)) == ["1-0"]
    assert known.in_order()[0] == ("127.0.0.1", target.port)


@within(60)
async def test_a_slot_that_is_being_moved(cluster):
    target = cluster.nodes[1]
    with linking(cluster.url) as link, linking(cluster.url) as other:
        one_key, two_keys = ("EXISTS", STREAM), ("EXISTS", STREAM, MARKER)
        assert [used.run(partial(used.ask, *one_key)) for used in (link, other)] == [1, 1]
        source = cluster.begin_move(STREAM, target)
        # What is there is served as before, but nobody has both; before 7.0 the target is named all the same.
        assert link.run(partial(link.ask, *one_key)) == 1
        error = trouble_of(link, *two_keys)
        word = "TRYAGAIN" if source.version >= (7,) else "ASK"
        assert (error.trouble, word in str(error)) == (Trouble.AWAY, True)
        cluster.move_keys(STREAM, source, target)
        error = trouble_of(other, *one_key)
        assert (error.trouble, "ASK" in str(error)) == (Trouble.AWAY, True)
    for node in cluster.nodes:
        async with reading(url_of(node)) as reader:
            with pytest.raises(StreamError, match="ASK"):
                await reader.info()
    cluster.end_move(STREAM, source, target)
    assert await ids_at_last(cluster.url) == ["1-0"]


@within(60)
async def test_a_user_with_our_rules_finds_the_stream_in_a_cluster(cluster):
    for node in cluster.nodes:
        node.call("ACL", "SETUSER", "svc", "on", ">secret", *redis_server.RULES)
    for node in cluster.nodes:
        url = url_of(node).replace("//", "//svc:secret@")
        known = known_of(url)
        assert await ids_at_last(url, known) == ["1-0"]
        # Who may not ask for the nodes has heard of those that it was sent to.
        assert set(known.in_order()) == {("127.0.0.1", one.port) for one in (node, cluster.nodes[0])}
        async with reading(url.replace("secret", "hidden")) as reader:
            with pytest.raises(StreamError) as caught:
                await reader.info()
        assert caught.value.trouble is Trouble.DENIED
        assert "hidden" not in str(caught.value)


@within(60)
async def test_a_replica_takes_over_and_no_node_of_the_configuration_is_left():
    with own_cluster(masters=3, replicas=1) as cluster:
        home = cluster.node_of(STREAM)
        home.add(STREAM, {"a": "b"}, "1-0")
        home.call("WAIT", 1, 5000)
        url = url_of(home)
        known = known_of(url)
        with linking(url, known) as link:
            assert link.run(partial(link.ask, "XLEN", STREAM)) == 1
            assert cluster.kill_master_of(STREAM) is home
            assert trouble_of(link, "XLEN", STREAM).trouble is Trouble.AWAY
        assert await ids_at_last(url, known) == ["1-0"]
        async with reading(url) as reader:
            with pytest.raises(StreamError, match="ConnectionRefusedError"):
                await reader.info()


@within(60)
async def test_a_node_that_has_lost_the_others_does_not_keep_us(cluster):
    """It says that the cluster is down, which it is not."""
    with redis_server.own_server("--cluster-enabled", "yes") as lonely:
        url = url_of(lonely, cluster.nodes[1])
        assert await ids_at_last(url) == ["1-0"]
        async with reading(url_of(lonely)) as reader:
            with pytest.raises(StreamError, match="CLUSTERDOWN") as caught:
                await reader.info()
        assert caught.value.trouble is Trouble.AWAY


@within(60)
async def test_a_node_that_hangs_is_not_asked_first_the_next_time(clusters, monkeypatch):
    monkeypatch.setattr("trio_cursor.redis_streams.PATIENCE_SECONDS", 0.3)
    cluster = next(iter(clusters.values()))
    cluster.call(STREAM, "DEL", STREAM)
    cluster.node_of(STREAM).add(STREAM, {"a": "b"}, "1-0")
    hanging = redis_server.RedisServer("--cluster-enabled", "yes")
    try:
        hanging.stall()
        url = url_of(hanging, *cluster.nodes)
        known = known_of(url)
        assert known.in_order()[0] == ("127.0.0.1", hanging.port)
        assert await ids_at_last(url, known) == ["1-0"]
        assert known.in_order()[0] == ("127.0.0.1", cluster.node_of(STREAM).port)
    finally:
        hanging.resume()
        hanging.close()


# --- sentinels ---


@pytest.mark.parametrize("version", redis_server.versions())
@within(60)
async def test_a_master_that_dies_and_comes_back_as_a_replica(version):
    with own_sentinels(version=version) as sentinels:
        url, known = sentinels.url, known_of(sentinels.url)
        first = sentinels.master()
        first.add(STREAM, {"a": "b"}, "1-0")
        first.call("WAIT", 1, 5000)
        with linking(url, known) as link:
            assert link.run(partial(link.ask, "XLEN", STREAM)) == 1
            old, new = sentinels.failover()
            assert trouble_of(link, "XLEN", STREAM).trouble is Trouble.AWAY
        assert (old, new) == tuple(sentinels.servers)
        assert await ids_at_last(url, known) == ["1-0"]
        # It comes back, empty, and as a master until the sentinels have noticed.
        old.start()
        assert await ids_at_last(url, known) == ["1-0"]
        sentinels.demote(old)
        await until(lambda: old.call("ROLE")[3] == b"connected")
        with linking(url, known) as link:
            assert link.run(partial(link.ask, "XADD", STREAM, "2-0", "a", "b")) == b"2-0"
            assert link.run(partial(link.ask, "WAIT", 1, 5000)) == 1
            # By hand it is done without closing connections.
            old.call("REPLICAOF", "NO", "ONE")
            new.call("REPLICAOF", "127.0.0.1", old.port)
            error = trouble_of(link, "XADD", STREAM, "3-0", "a", "b")
            assert (error.trouble, "READONLY" in str(error)) == (Trouble.AWAY, True)
        with linking(url, known) as link:
            error = trouble_of(link, "XLEN", STREAM)
            assert (error.trouble, "no master" in str(error)) == (Trouble.AWAY, True)
        new.call("REPLICAOF", "NO", "ONE")
        assert await ids_at_last(url, known) == ["1-0", "2-0"]


@pytest.mark.parametrize("version", redis_server.versions())
@within(60)
async def test_a_user_with_our_rules_is_led_by_a_sentinel_that_knows_no_users(version):
    with own_sentinels(version=version) as sentinels:
        for server in sentinels.servers:
            server.call("ACL", "SETUSER", "svc", "on", ">secret", *redis_server.RULES)
        sentinels.master().add(STREAM, {"a": "b"}, "1-0")
        url = sentinels.url.replace("//", "//svc:secret@")
        assert await ids_at_last(url) == ["1-0"]
        sentinels.master().call("REPLICAOF", "127.0.0.1", redis_server.free_port())
        async with reading(url) as reader:
            with pytest.raises(StreamError, match="no master"):
                await reader.info()


@within(60)
async def test_sentinels_that_die_and_one_that_does_not_know():
    with own_sentinels(3) as sentinels:
        master = sentinels.master()
        master.add(STREAM, {"a": "b"}, "1-0")
        url = sentinels.url_of(sentinels.sentinels[0])
        known = known_of(url)
        assert await ids_at_last(url, known) == ["1-0"]
        assert len(known.in_order()) == 3
        # The one of the configuration comes to name another server, and dies.
        stale = sentinels.sentinels[0]
        stale.call("SENTINEL", "REMOVE", NAME)
        stale.call("SENTINEL", "MONITOR", NAME, "127.0.0.1", sentinels.servers[1].port, 1)
        assert await ids_at_last(url, known) == ["1-0"]
        async with reading(url) as reader:
            with pytest.raises(StreamError, match="no master"):
                await reader.info()
        stale.kill()
        assert await ids_at_last(url, known) == ["1-0"]
