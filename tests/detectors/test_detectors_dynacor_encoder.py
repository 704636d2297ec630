"""DynaCor's sequences, encoder and losses beside their plain forms, row by row in float64."""

from itertools import product

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn import functional

from audit.compute import lanes
from audit.detectors.dynacor import fitting, losses, signs
from audit.detectors.dynacor.encoder import Encoder
from audit.errors import StoppedError
from audit.records.progress import silent

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 31, 200)


def drawn_margins(n_epochs, n_rows, seed=0):
    """Return margins that rise from about -1 to about 1, with many equal sign sequences among them."""
    rng = np.random.default_rng(seed)
    course = np.linspace(-1, 1, n_epochs)[:, None] + rng.normal(0, 1, n_rows)
    return course + 0.3 * rng.normal(0, 1, (n_epochs, n_rows))


def signs_of(margins):
    return np.where(margins >= 0, 1.0, -1.0).T


def plain_representations(encoder, sequences):
    """Encode (R, T) signs as a network of convolutions with padding does, in the encoder's arithmetic."""
    hidden = torch.from_numpy(sequences).to(encoder.offset.dtype)[:, None]
    for kernel, bias in zip(encoder.kernels, encoder.biases, strict=True):
        hidden = functional.relu(functional.conv1d(hidden, kernel, bias, padding=1))
    return hidden.transpose(1, 2).flatten(1) @ encoder.readout + encoder.offset


def plain_cosine_distance(first, second):
    return 1 - functional.cosine_similarity(first, second, dim=-1)


def plain_loss(originals, copies, noisy, clean, alpha):
    """Return equation (8) over rows, with sums and means over the batch."""
    z = torch.cat([originals, copies])
    similarity = torch.stack(
        [1 / (1 + plain_cosine_distance(z, centre[None])) for centre in (noisy, clean)], dim=1
    )
    q = similarity / similarity.sum(dim=1, keepdim=True)
    p = q**2 / q.sum(dim=0)
    p = (p / p.sum(dim=1, keepdim=True)).detach()
    cluster = (p * (p.log() - q.log())).sum(dim=1).mean()
    is_noisy = q[:, 0] > q[:, 1]
    is_copy = torch.arange(len(z)) >= len(originals)
    pairs = []
    for side in (is_noisy, ~is_noisy):
        first, second = z[side & ~is_copy], z[side & is_copy]
        if len(first) and len(second):
            pairs.append(plain_cosine_distance(first.mean(dim=0), second.mean(dim=0)))
        else:
            pairs.append(None)
    noisy_pair, clean_pair = pairs
    if noisy_pair is None:
        return cluster
    return cluster + alpha * (noisy_pair if clean_pair is None else (noisy_pair + clean_pair) / 2)


def small_population(n_epochs=10, n_originals=300, n_copies=40):
    margins = drawn_margins(n_epochs, n_originals + n_copies)
    margins[:, n_originals:] -= 1.5
    packed = signs.pack(margins)
    population, _ = signs.populate(packed[:n_originals], packed[n_originals:], n_epochs)
    return population, margins


# ------------------------------------------------------------------------------------- sign sequences


def test_a_tie_counts_as_agreement_with_the_label():
    margins = np.array([[0.0, -0.0, 1e-30, -1e-30]] * 9)
    assert_array_equal(
        np.unpackbits(signs.pack(margins), axis=1, count=9), [[1] * 9] * 3 + [[0] * 9]
    )


def test_equal_sequences_are_kept_once_with_their_number_of_originals_and_copies():
    margins = drawn_margins(11, 500)
    packed = signs.pack(margins)
    population, place = signs.populate(packed[:450], packed[450:], 11)
    bits = (margins >= 0).T
    distinct, inverse = np.unique(bits, axis=0, return_inverse=True)
    assert len(population) < 400
    assert_array_equal(np.unpackbits(population.packed, axis=1, count=11), distinct)
    assert_array_equal(place, inverse.reshape(-1)[:450])
    assert_array_equal(population.n_originals, np.bincount(place, minlength=len(distinct)))
    assert population.n_copies.sum() == 50
    assert population.n_rows == 500


def test_populations_are_equal_where_their_content_is():
    first, margins = small_population()
    again, _ = small_population()
    assert first == again
    assert hash(first) == hash(again)
    packed = signs.pack(-margins)
    other, _ = signs.populate(packed[:300], packed[300:], 10)
    assert first != other


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4, 6, 7, 9, 13])
def test_a_section_holds_the_signs_of_its_three_epochs_and_of_three_on_either_side(n_epochs):
    margins = drawn_margins(n_epochs, 40)
    codes = signs.sections(signs.pack(margins), n_epochs)
    assert codes.shape == (40, -(-n_epochs // 3))
    for row, section, bit in product(range(40), range(codes.shape[1]), range(9)):
        epoch = 3 * section - 3 + bit
        expected = 0 <= epoch < n_epochs and margins[epoch, row] >= 0
        assert bool(codes[row, section] >> bit & 1) == expected


# -------------------------------------------------------------------------------------------- encoder


@pytest.mark.parametrize("n_epochs", LENGTHS)
def test_the_encoder_is_the_plain_convolutional_network(n_epochs):
    margins = drawn_margins(n_epochs, 60)
    codes = signs.sections(signs.pack(margins), n_epochs)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 2e-6)):
        encoder = Encoder.draw(n_epochs, seed=3, dtype=dtype)
        expected = plain_representations(encoder, signs_of(margins)).numpy()
        assert np.abs(expected).max() > 0.05
        assert_allclose(encoder.encode(encoder.batch(codes)), expected, atol=tolerance)
        (whole,) = encoder.representations(codes)
        assert_allclose(whole, expected, atol=tolerance)


def test_the_encoder_has_the_size_of_the_published_one():
    encoder = Encoder.draw(20, seed=0)
    n_values = sum(parameter.numel() for parameter in encoder.parameters())
    assert n_values == 332_928 + 2 * 512


def test_first_weights_are_the_seeds_and_fill_the_usual_interval():
    encoder, again = Encoder.draw(20, seed=1), Encoder.draw(20, seed=1)
    other = Encoder.draw(20, seed=2)
    for mine, same, others in zip(
        encoder.parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(mine, same)
        assert not mine.any() or not torch.equal(mine, others)
    assert_allclose(encoder.readout.abs().max(), 640**-0.5, rtol=1e-3)
    assert_allclose(encoder.readout.std(), 640**-0.5 / 3**0.5, rtol=1e-2)
    assert_allclose(encoder.kernels[0].abs().max(), 3**-0.5, rtol=0.1)


def test_drawing_an_encoder_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    Encoder.draw(5, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_representation_is_the_same_to_the_last_bit_alone_and_in_company():
    codes = signs.sections(signs.pack(drawn_margins(20, 5000)), 20)
    encoder = Encoder.draw(20, seed=0)
    company = torch.cat(list(encoder.representations(codes)))
    assert len(company) == 5000
    for row in (0, 1234, 4999):
        (alone,) = encoder.representations(codes[row : row + 1])
        assert torch.equal(alone[0], company[row])


def test_more_sections_than_are_encoded_at_once_make_no_difference():
    n_epochs = 3 * 64 + 5
    margins = drawn_margins(n_epochs, 7)
    encoder = Encoder.draw(n_epochs, seed=0, dtype=torch.float64)
    codes = signs.sections(signs.pack(margins), n_epochs)
    (found,) = encoder.representations(codes)
    assert_allclose(found, plain_representations(encoder, signs_of(margins)), atol=1e-13)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("n_epochs", [4, 9, 20])
def test_loss_and_gradients_over_distinct_sequences_are_those_over_rows(n_epochs, alpha):
    population, margins = small_population(n_epochs)
    encoder = Encoder.draw(n_epochs, seed=5, dtype=torch.float64)
    codes = signs.sections(population.packed, n_epochs)
    fitting.centre(encoder, population, codes)
    trained = list(encoder.parameters())
    for parameter in trained:
        parameter.requires_grad = True
    counts = [torch.from_numpy(n).double() for n in (population.n_originals, population.n_copies)]
    z = encoder.encode(encoder.batch(codes))
    q = losses.noisy_assignment(z, encoder.noisy, encoder.clean)
    loss = losses.cluster_loss(q, counts[0] + counts[1])
    loss = loss + alpha * losses.alignment_loss(z, q, *counts)
    rows = plain_representations(encoder, signs_of(margins))
    plain = plain_loss(rows[:300], rows[300:], encoder.noisy, encoder.clean, alpha)
    assert_allclose(loss.item(), plain.item(), rtol=1e-10)
    for mine, expected in zip(
        torch.autograd.grad(loss, trained), torch.autograd.grad(plain, trained), strict=True
    ):
        assert expected.abs().max() > 0
        assert_allclose(mine, expected, atol=1e-10 * float(expected.abs().max()) + 1e-14)


# --------------------------------------------------------------------------------------------- losses


def test_the_assignment_by_hand():
    noisy, clean = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    z = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, -1.0]])
    # Distances to noisy: 0, 1, the same as to clean, 1; to clean: 1, 0, ..., 2.
    assert_allclose(losses.noisy_assignment(z, noisy, clean), [2 / 3, 1 / 3, 0.5, 0.6], atol=1e-6)
    opposite = losses.noisy_assignment(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), noisy, -noisy)
    assert_allclose(opposite, [0.75, 0.25], atol=1e-6)


def test_a_representation_without_length_belongs_to_neither_cluster():
    zero = torch.zeros(1, 2)
    assert_allclose(losses.noisy_assignment(zero, torch.ones(2), torch.tensor([1.0, 0.0])), [0.5])


def test_the_cluster_loss_by_hand():
    q = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    once = torch.ones(2, dtype=torch.float64)
    # Both sums are 1, so the target of the first is (4/9) ÷ (4/9 + 1/9) = .8, of the second .2.
    expected = 0.8 * np.log(0.8 / (2 / 3)) + 0.2 * np.log(0.2 / (1 / 3))
    assert_allclose(losses.cluster_loss(q, once), expected)
    assert_allclose(losses.cluster_loss(q, 7 * once), expected)


def test_the_target_of_the_cluster_loss_is_a_constant():
    q = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64, requires_grad=True)
    losses.cluster_loss(q, torch.ones(2, dtype=torch.float64)).backward()
    first = -(0.8 / (2 / 3) - 0.2 / (1 / 3)) / 2
    assert_allclose(q.grad, [first, -first])


def test_the_alignment_loss_by_hand():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    q = torch.tensor([0.6, 0.7, 0.4, 0.3])
    # Noisy: originals (1, 0) twice and copies (0, 1) once are a right angle apart. Clean: opposite.
    n_originals, n_copies = torch.tensor([2.0, 0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 5.0])
    assert_allclose(losses.alignment_loss(z, q, n_originals, n_copies), (1 + 2) / 2)
    no_clean_copy = torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert_allclose(losses.alignment_loss(z, q, n_originals, no_clean_copy), 1)
    no_noisy_copy = torch.tensor([0.0, 0.0, 0.0, 5.0])
    assert losses.alignment_loss(z, q, n_originals, no_noisy_copy) == 0


def test_a_sample_exactly_between_the_clusters_counts_as_clean():
    z, q = torch.eye(2), torch.tensor([0.5, 0.6])
    assert losses.alignment_loss(z, q, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])) == 0


# -------------------------------------------------------------------------------------------- fitting


def test_adam_is_the_one_of_torch():
    torch_values = [torch.linspace(-1, 1, 7, dtype=torch.float64).requires_grad_()]
    values = [torch_values[0].detach().clone()]
    reference = torch.optim.Adam(torch_values, lr=0.01, weight_decay=0.1)
    step = fitting.adam(values, learning_rate=0.01, weight_decay=0.1)
    for scale in (1.0, -3.0, 0.0, 10.0, 0.5):
        gradient = scale * torch.arange(7, dtype=torch.float64)
        torch_values[0].grad = gradient.clone()
        reference.step()
        step([gradient])
        assert_allclose(values[0], torch_values[0].detach(), rtol=1e-12, atol=1e-14)


def test_the_validation_metric_by_hand():
    q = np.array([0.7, 0.6, 0.4, 0.3])
    n_originals, n_copies = np.array([1, 5, 1, 3]), np.array([3, 1, 2, 0])
    # Copies called noisy: 3 × .7 and .6; originals called clean: .4 and 3 × .3.
    expected = (2.7 / 4 - 1.3 / 4) ** 2
    assert_allclose(fitting.validation(q, n_originals, n_copies), expected)
    none = np.zeros(4, dtype=np.int64)
    assert fitting.validation(q, n_originals, none) == 0
    assert fitting.validation(q, np.array([1, 1, 0, 0]), n_copies) == 0
    assert fitting.validation(np.full(4, 0.5), n_originals, n_copies) == 0


def test_every_row_is_in_at_most_one_batch_and_only_a_partial_batch_is_left_out():
    population, _ = small_population()
    settings = fitting.Settings(batch=60)
    seen = np.zeros((2, len(population)))
    n_batches = 0
    for chosen, n_originals, n_copies in fitting.batches(population, 1, settings):
        assert n_originals.sum() + n_copies.sum() == 340 // 8  # fewer than 60
        seen[0][chosen] += n_originals.numpy()
        seen[1][chosen] += n_copies.numpy()
        n_batches += 1
    assert n_batches == 8
    assert (seen <= [population.n_originals, population.n_copies]).all()
    first, second = (
        [chosen.tolist() for chosen, _, _ in fitting.batches(population, epoch, settings)]
        for epoch in (1, 2)
    )
    assert first != second


def test_the_centroids_begin_at_the_mean_of_copies_and_of_originals():
    population, margins = small_population()
    encoder = Encoder.draw(10, seed=0, dtype=torch.float64)
    fitting.centre(encoder, population, signs.sections(population.packed, 10))
    rows = plain_representations(encoder, signs_of(margins))
    assert_allclose(encoder.noisy, rows[300:].mean(dim=0), atol=1e-13)
    assert_allclose(encoder.clean, rows[:300].mean(dim=0), atol=1e-13)


def test_a_fit_keeps_the_first_epoch_with_the_largest_metric_and_the_encoder_of_that_epoch():
    population, _ = small_population()
    for rate in (1e-5, 0.05):  # gets better; gets worse after some epochs
        settings = fitting.Settings(epochs=6, learning_rate=rate, alphas=(0.05, 0.5))
        for fit in fitting.fit(population, settings, silent):
            assert len(fit.curve) == 7
            assert fit.epoch == int(np.argmax(fit.curve))
            assert_array_equal(fit.answer(population.packed), fit.q_noisy)
            again = fitting.validation(fit.q_noisy, population.n_originals, population.n_copies)
            assert again == fit.curve[fit.epoch]


def test_an_untrained_encoder_is_what_no_epoch_leaves():
    population, _ = small_population()
    (fit,) = fitting.fit(population, fitting.Settings(epochs=0, alphas=(0.5,)), silent)
    assert fit.epoch == 0
    assert torch.equal(fit.encoder.readout, Encoder.draw(10, seed=0).readout)


def test_of_all_fits_the_one_with_the_largest_metric_is_taken_and_of_equal_ones_the_first():
    population, _ = small_population()
    (one,) = fitting.fit(population, fitting.Settings(epochs=0, alphas=(0.5,)), silent)

    def made(alpha, curve, epoch):
        return fitting.Fit(
            alpha=alpha, curve=curve, epoch=epoch, encoder=one.encoder, q_noisy=one.q_noisy
        )

    low, high = made(0.05, (0.1, 0.2), 1), made(0.5, (0.1, 0.3), 1)
    assert fitting.best([low, high]) is high
    assert fitting.best([high, low]) is high
    equal = made(0.5, (0.2, 0.1), 0)
    assert fitting.best([low, equal]) is low


def test_training_raises_the_metric_and_changes_with_the_seed():
    population, _ = small_population()
    first, second = (
        fitting.best(fitting.fit(population, fitting.Settings(seed=seed), silent))
        for seed in (0, 1)
    )
    assert first.curve[first.epoch] > first.curve[0]
    assert first.curve != second.curve


def test_a_fit_is_the_same_to_the_last_bit_on_one_core_and_on_two(monkeypatch):
    population, _ = small_population(31)
    found = []
    for number in ("1", "2"):
        monkeypatch.setenv(lanes.THREADS, number)
        found.append(fitting.fit(population, fitting.Settings(epochs=3), silent))
    for one, other in zip(*found, strict=True):
        assert (one.alpha, one.epoch, one.curve) == (other.alpha, other.epoch, other.curve)
        assert_array_equal(one.q_noisy, other.q_noisy)
        assert torch.equal(one.encoder.readout, other.encoder.readout)


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    population, _ = small_population()
    with pytest.raises(StoppedError):
        fitting.fit(population, fitting.Settings(), stop)
    assert torch.get_num_threads() == before


def stop(fraction, message):
    raise StoppedError(message)
