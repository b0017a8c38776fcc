"""Clusters and sentinels that speak TLS among themselves and with us, and want to see our certificate too."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import redis_server
import trustme
from redis_cluster import own_cluster
from redis_sentinels import own_sentinels

from trio_cursor.config.output_sections import RedisConfig, RedisTlsConfig
from trio_cursor.redis_address import address_of
from trio_cursor.redis_link import Link
from trio_cursor.redis_trouble import StreamError, Trouble

STREAM = "telemetry:events"


class Papers:
    """Certificates in files."""

    def __init__(self, directory, *names):
        authority = trustme.CA()
        self.trusted = str(directory / "ca.pem")
        authority.cert_pem.write_to_path(self.trusted)
        own = authority.issue_cert(*names)
        self.certificate, self.key = str(directory / "own.pem"), str(directory / "own.key")
        own.cert_chain_pems[0].write_to_path(self.certificate)
        own.private_key_pem.write_to_path(self.key)

    @property
    def of_server(self):
        return self.trusted, self.certificate, self.key

    @property
    def of_client(self):
        return RedisTlsConfig(ca=self.trusted, cert=self.certificate, key=self.key)


def length(url, tls):
    """How long the stream is."""
    with linking(url, tls) as link:
        return link.run(lambda: link.ask("XLEN", STREAM))


def trouble_of(url, tls):
    with pytest.raises(StreamError) as caught:
        length(url, tls)
    return caught.value.trouble


@contextmanager
def linking(url, tls):
    link = Link(address_of(RedisConfig(url=url, tls=tls)), STREAM, answer_seconds=5)
    try:
        yield link
    finally:
        link.close()


@pytest.fixture(params=redis_server.tls_versions())
def version(request):
    redis_server.require_tls(request.param)
    return request.param


def test_a_cluster_that_speaks_tls(version, tmp_path):
    papers = Papers(tmp_path, "127.0.0.1")
    with own_cluster(version=version, tls=papers.of_server) as cluster:
        cluster.call(STREAM, "XADD", STREAM, "1-0", "a", "b")
        for node in cluster.nodes:
            assert length(f"redis+cluster://127.0.0.1:{node.port}", papers.of_client) == 1
        # Its certificate has another name than the URL; and it wants to see one.
        url = f"redis+cluster://localhost:{cluster.nodes[0].port}"
        assert trouble_of(url, papers.of_client) is Trouble.DENIED
        assert trouble_of(cluster.url, RedisTlsConfig(ca=papers.trusted)) is Trouble.AWAY


def test_sentinels_that_speak_tls(version, tmp_path):
    papers = Papers(tmp_path, "127.0.0.1")
    with own_sentinels(version=version, tls=papers.of_server) as sentinels:
        sentinels.master().call("XADD", STREAM, "1-0", "a", "b")
        assert length(sentinels.url, papers.of_client) == 1
        sentinels.failover()
        assert length(sentinels.url, papers.of_client) == 1
        assert trouble_of(sentinels.url, RedisTlsConfig(ca=papers.trusted)) is Trouble.AWAY


def test_whom_a_sentinel_names_must_have_the_name_that_it_gives_him(version, tmp_path):
    """By address, which the certificate of the sentinel need not have: it is reached by its name."""
    papers = Papers(tmp_path, "localhost")
    with own_sentinels(version=version, tls=papers.of_server) as sentinels:
        url = sentinels.url.replace("127.0.0.1", "localhost")
        assert trouble_of(url, papers.of_client) is Trouble.DENIED
