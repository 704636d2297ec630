import dataclasses

import pytest
import torch

from audit.errors import InputError
from audit.records.run import RunConfig
from audit.training import networks

CONFIG = RunConfig(
    preset="t", architecture="small", image_size=32, epochs=2, batch_size=4, learning_rate=0.1
)


def make(architecture, n_outputs=10, **changes):
    n_features = changes.pop("n_features", None)
    config = dataclasses.replace(CONFIG, architecture=architecture, **changes)
    return networks.build(config, n_outputs=n_outputs, n_features=n_features)


def n_parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_resnet32_has_the_papers_parameters():
    assert n_parameters(make("resnet32")) == 464_154


def test_the_small_networks_have_the_documented_parameters():
    assert n_parameters(make("small")) == 1_154_058
    assert n_parameters(make("narrow")) == 291_338


@pytest.mark.parametrize("size", [8, 15, 28, 33])
@pytest.mark.parametrize("architecture", ["narrow", "small", "resnet32"])
def test_networks_take_any_size_from_eight_pixels(architecture, size):
    network = make(architecture, n_outputs=3, image_size=size)
    logits = network(torch.zeros(2, 3, size, size))
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize(("size", "stride", "side"), [(64, 1, 3), (65, 2, 7)])
def test_torchvisions_networks_keep_small_images_large(size, stride, side):
    network = make("resnet18", n_outputs=3, image_size=size)
    assert network.conv1.stride == (stride, stride)
    assert network.conv1.kernel_size == (side, side)
    assert network.eval()(torch.zeros(1, 3, size, size)).shape == (1, 3)


def test_large_images_are_halved_by_the_first_layer_of_resnet32():
    assert make("resnet32", image_size=64).stem.stride == (2, 2)
    assert make("resnet32", image_size=32).stem.stride == (1, 1)


@pytest.mark.parametrize("architecture", ["small", "resnet18"])
def test_weights_depend_on_seed_and_part_and_on_nothing_else(architecture):
    def first(**changes):
        torch.rand(3)
        return torch.cat([p.flatten() for p in make(architecture, 3, **changes).parameters()])

    assert torch.equal(first(), first())
    assert not torch.equal(first(), first(seed=1))
    assert not torch.equal(first(), first(probe_part=1))


def test_logits_stay_float32_under_reduced_precision():
    network = make("small", n_outputs=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.zeros(2, 3, 32, 32)).dtype == torch.float32


def test_dropout_keeps_the_mean_and_repeats_with_its_seed():
    dropout = networks.SeededDropout(0.25)
    values = torch.ones(200, 200)

    def draw(seed):
        dropout.reseed(torch.Generator().manual_seed(seed))
        return dropout(values)

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert draw(0).unique().tolist() == pytest.approx([0, 4 / 3])
    # 40,000 draws: the mean's standard deviation is 0.003.
    assert draw(0).mean().item() == pytest.approx(1, abs=0.015)
    assert torch.equal(dropout.eval()(values), values)


def test_the_shortcut_of_a_wider_block_pools_and_adds_zero_channels():
    block = networks.BasicBlock(1, 2).eval()
    for parameter in block.conv2.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    out = block(image)
    assert out[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert out[0, 1].abs().sum() == 0


def test_too_small_images_and_unknown_names_are_refused():
    with pytest.raises(InputError, match="--image-size 8 or more"):
        make("small", image_size=7)
    with pytest.raises(InputError, match="there are narrow, small, resnet32"):
        make("vgg")
    with pytest.raises(InputError, match="needs features"):
        make("features")
