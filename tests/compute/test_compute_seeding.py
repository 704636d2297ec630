import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.compute import seeding


def test_a_derived_seed_is_the_same_in_every_version():
    assert seeding.derive(0, "permutation", 1) == 2724501114238803244
    assert seeding.derive(7) == 2529270027898715732


@given(st.integers(0, 2**63 - 1), st.text(), st.integers(0, 10**6))
def test_a_derived_seed_fits_63_bits(seed, purpose, epoch):
    assert 0 <= seeding.derive(seed, purpose, epoch) < 2**63


def test_purposes_that_read_alike_give_different_seeds():
    alike = {
        seeding.derive(1, "a", "bc"),
        seeding.derive(1, "ab", "c"),
        seeding.derive(1, "1"),
        seeding.derive(1, 1),
        seeding.derive(11),
    }
    assert len(alike) == 5


def test_generators_of_one_purpose_draw_the_same():
    first = torch.rand(4, generator=seeding.generator("cpu", 3, "order", 2))
    again = torch.rand(4, generator=seeding.generator("cpu", 3, "order", 2))
    other = torch.rand(4, generator=seeding.generator("cpu", 3, "order", 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_seeding_layers_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    with seeding.layer_seed(5, "weights"):
        one = torch.nn.Linear(3, 2).weight.detach().clone()
    assert torch.equal(torch.get_rng_state(), before)
    with seeding.layer_seed(5, "weights"):
        two = torch.nn.Linear(3, 2).weight.detach().clone()
    assert torch.equal(one, two)
