"""The examples of docs/recorder.md do what they say."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.compute import vision
from audit.exchange import recorded

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "recorder.md").read_text(encoding="utf-8")
SETTING, *EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)


def file_of(example):
    return re.search(r'out="(\w+\.npz)"', example).group(1)


IN_ONE_PROCESS = [one for one in EXAMPLES if "init_process_group" not in one]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("example", IN_ONE_PROCESS, ids=file_of)
def test_an_example_records_what_can_be_read(example, tmp_path, monkeypatch):
    vision.load()  # Lightning and Transformers import torchvision, which may not fit this torch
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "example"}
    with torch.random.fork_rng():
        exec(SETTING, names)
        if "import" not in example:  # it goes on from the plain loop
            exec(EXAMPLES[0], names)
        exec(example, names)
    made = recorded.read(tmp_path / file_of(example)).dynamics
    assert made.n_samples == 200
    assert made.n_epochs in (3, 5)
    assert np.isfinite(made.signals["margin"]).all()


def test_the_guide_has_an_example_of_every_kind():
    assert [file_of(one) for one in EXAMPLES] == [
        f"{kind}.npz" for kind in ("plain", "dropped", "ddp", "lightning", "trainer")
    ]
