"""Addresses, refusals and the division of work; with Ray: that a task's mistake is told and not the others' end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from medt_pipeline.core.cluster import Cluster, Needs, connected, map_cases, parse_cluster
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.interruption import interrupt_on_termination


class _Machines:
    """Stands in for Ray where only its machines are asked for."""

    def __init__(self, *machines: dict[str, float]) -> None:
        self._machines = machines

    def nodes(self) -> list[dict]:
        dead = [{"Alive": False, "Resources": {"CPU": 99.0}}]
        return [{"Alive": True, "Resources": machine} for machine in self._machines] + dead


def test_clusters_are_named_as_ray_does() -> None:
    assert parse_cluster("ray") is None
    assert parse_cluster("ray:10.0.0.1:6379") == "10.0.0.1:6379"
    assert parse_cluster("ray:[::1]:6379") == "[::1]:6379"
    assert parse_cluster("ray://head:10001") == "ray://head:10001"


@pytest.mark.parametrize(
    "wrong", ["", "slurm", "ray:", "ray://", "ray:head", "ray:head:port", "ray://:1", "ray:a:99999"]
)
def test_what_names_no_cluster_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="--on takes ray, ray:HOST:PORT"):
        parse_cluster(wrong)


def test_without_the_extra_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'medt_pipeline\[cluster\]'"), connected("ray"):
        pass


@pytest.mark.parametrize("on", ["ray:127.0.0.1:1", "ray://127.0.0.1:1", "ray:no such host:6379"])
def test_a_head_that_does_not_answer_is_one_sentence(on: str) -> None:
    pytest.importorskip("ray", reason="the extra [cluster] is not installed")
    with pytest.raises(UserError, match="does not answer") as refusal, connected(on):
        pass
    assert "\n" not in str(refusal.value)


def test_a_cluster_leaves_the_handlers_of_signals_as_they_were(ray_alone: Any) -> None:
    """Ray's own ends the process at once; what Ctrl-C saves would be lost."""
    with interrupt_on_termination():
        handler = signal.getsignal(signal.SIGTERM)
        with connected("ray") as cluster:
            assert cluster is not None and signal.getsignal(signal.SIGTERM) is handler


def test_a_task_takes_its_share_of_a_machine() -> None:
    cluster = Cluster(_Machines({"CPU": 8, "memory": 10.0, "GPU": 2}, {"CPU": 4, "memory": 5.0}))
    assert cluster.needs("a", 4) == Needs(4.0, 0, 4)
    assert cluster.needs("a", 6) == Needs(8.0, 0, 6)
    assert cluster.needs("a", 4, at_once=3) == Needs(4.0, 0, 4)
    assert cluster.needs("a", 4, gpus=1) == Needs(4.0, 1, 4)
    assert cluster.needs("a", 4, cores=1) == Needs(1.0, 0, 4)
    with pytest.raises(UserError, match="a needs 0.0 GB, but the machines of the Ray cluster have at most 0.0"):
        cluster.needs("a", 11)
    with pytest.raises(UserError, match="has a GPU for Ray; use --device cpu"):
        Cluster(_Machines({"CPU": 8, "memory": 10.0})).needs("a", 1, gpus=1)
    with pytest.raises(UserError, match="no machine with cores for tasks yet"):
        Cluster(_Machines({"memory": 10.0})).needs("a", 1)


def test_shards_hold_every_item_once_and_keep_all_machines_busy() -> None:
    cluster = Cluster(_Machines({"CPU": 2, "memory": 4.0}, {"CPU": 4, "memory": 2.0}))
    # Two at once on each machine: by cores on the first, by memory on the second.
    shards = cluster.shards(range(33), Needs(1.0, 0, 1))
    assert [item for shard in shards for item in shard] == list(range(33))
    assert len(shards) == 11
    assert max(map(len, cluster.shards(range(10**4), Needs(1.0, 0, 1)))) == 64
    assert cluster.shards([], Needs(1.0, 0, 1)) == []


def test_here_each_item_is_a_list_of_its_own() -> None:
    assert list(map_cases(lambda items: [len(items) * item for item in items], [3, 1, 2], 2, None, 0, "x")) == [3, 1, 2]


@pytest.mark.slow
def test_a_failed_list_is_told_after_the_others_were_done(ray_cluster: Any, tmp_path: Path) -> None:
    def work(items: list[int]) -> list[int]:
        if 3 in items:
            raise UserError("3 is too many")
        if 5 in items and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        for item in items:
            (tmp_path / str(item)).touch()
        return [10 * item for item in items]

    here = Cluster(ray_cluster)
    needs = here.needs("x", 10**6, cores=1)
    found = []
    with pytest.raises(UserError, match="1 of 8 tasks failed; run the same command again") as refusal:
        found.extend(here.map_shards(work, range(8), needs, "Count"))
    assert "Count 4 (1 of 8): 3 is too many" in str(refusal.value)
    assert found == [0, 10, 20]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "4", "5", "6", "7", "died"]
