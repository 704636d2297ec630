import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from audit.records.dynamics import SIGNALS
from audit.training.crew import ALONE, Crew, named

HERE = Path(__file__).parent

TOLERANCE = 1e-4
"""Logits of two processes and of one may differ by so much: sums are added in another order."""


def test_shards_are_shared_out_without_rest_and_in_order():
    for size in (1, 2, 3, 5):
        for n_shards in (1, 2, 5, 8):
            shares = [list(Crew(rank=rank, size=size).share_of(n_shards)) for rank in range(size)]
            assert list(itertools.chain.from_iterable(shares)) == list(range(n_shards))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_that_nobody_launched_trains_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert named() == ALONE
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert named() == Crew(rank=1, size=2, local_rank=1)


def test_on_accelerators_every_process_has_its_own():
    assert Crew(rank=3, size=4, local_rank=1).device("cuda:0") == "cuda:1"
    assert Crew(rank=3, size=4, local_rank=1).device("cpu") == "cpu"
    assert ALONE.device("cuda:0") == "cuda:0"


def test_two_processes_record_what_one_does(tmp_path):
    member = [str(HERE / "crew_member.py"), str(tmp_path)]
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for words in ([], two):
        subprocess.run(
            [sys.executable, *words, *member], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True
        )
    for name in ("small", "features"):
        alone = np.load(tmp_path / f"{name}-0-of-1.npz")
        first, second = (np.load(tmp_path / f"{name}-{rank}-of-2.npz") for rank in (0, 1))
        for signal in (*SIGNALS, "course"):
            assert_array_equal(first[signal], second[signal])
            assert_allclose(first[signal], alone[signal], rtol=0, atol=TOLERANCE)
