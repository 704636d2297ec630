import json

import pytest
import torch

from audit.compute import device, vision
from audit.errors import InputError


def test_the_cpu_is_always_there():
    assert device.resolve("cpu") == "cpu"


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="has an accelerator"
)
def test_without_an_accelerator_auto_is_the_cpu_and_cuda_is_refused():
    assert device.resolve("auto") == "cpu"
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(InputError, match=f"'{name}' is not there; this machine has cpu"):
            device.resolve(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cpu:0"])
def test_other_words_are_refused_with_what_exists(name):
    with pytest.raises(InputError, match="use auto, cpu, cuda, cuda:N or mps"):
        device.resolve(name)


def test_the_description_is_plain_json():
    described = json.loads(json.dumps(device.describe()))
    assert described["devices"][-1]["name"] == "cpu"
    assert described["default"] == device.resolve("auto")


def test_torchvision_loads_whatever_its_wheel_was_built_for():
    torchvision = vision.load()
    assert vision.load() is torchvision
    network = torchvision.models.resnet18(weights=None, num_classes=3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
