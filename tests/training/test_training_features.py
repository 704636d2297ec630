import dataclasses
import errno
import resource
import signal

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from audit.compute import vision, weights
from audit.errors import InputError, StoppedError
from audit.records.run import Precision, RunConfig
from audit.training import backbones, features

SIDE = 40
CONFIG = RunConfig(
    preset="t",
    architecture="features",
    backbone="squeezenet",
    image_size=SIDE,
    epochs=2,
    batch_size=4,
    learning_rate=0.1,
)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
CAFFE_NAMES = {"squeeze": "conv1x1_1", "expand1x1": "conv1x1_2", "expand3x3": "conv3x3_2"}
FIRE_AT = {3: "fire2", 4: "fire3", 5: "fire4", 7: "fire5", 8: "fire6", 9: "fire7", 10: "fire8"}
FIRE_AT[12] = "fire9"


@pytest.fixture(scope="module")
def squeezenet():
    """Give torchvision's own network, as the reference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return vision.load().models.squeezenet1_0(weights=None).eval()


@pytest.fixture(scope="module")
def resnet18():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return vision.load().models.resnet18(weights=None).eval()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def store(network, path):
    weights.write_tensors(path, network.state_dict())
    return dataclasses.replace(CONFIG, weights=str(path))


def caffe_file(network, path):
    arrays = {}
    for name, tensor in network.features.state_dict().items():
        position, *middle, part = name.split(".")
        layer = f"{FIRE_AT[int(position)]}/{CAFFE_NAMES[middle[0]]}" if middle else "conv1"
        arrays[f"{layer}.{part}"] = tensor.numpy()
    np.savez(path, **arrays)
    return dataclasses.replace(CONFIG, weights=str(path))


def reference(network, images):
    """Pool what torchvision's layers say of normalised images (B, 3, S, S)."""
    with torch.inference_mode():
        fire7 = network.features[:10](images)
        fire9 = network.features[10:](fire7)
    parts = fire7.mean((2, 3)), fire9.mean((2, 3)), fire9.amax((2, 3))
    return torch.cat(parts, dim=1).numpy()


def rgb_normalised():
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = (IMAGES / 255 - mean) / deviation
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)


def test_torchvisions_squeezenet_gives_its_own_maps_pooled(squeezenet, tmp_path):
    config = store(squeezenet, tmp_path / "w.safetensors")
    made = features.extract(IMAGES, config)
    assert made.shape == (3, 384 + 512 + 512)
    assert made.dtype == np.float32
    assert_allclose(made, reference(squeezenet, rgb_normalised()), rtol=1e-4, atol=1e-5)


def test_the_caffe_layout_wants_blue_first_and_grey_levels(squeezenet, tmp_path):
    config = caffe_file(squeezenet, tmp_path / "w.npz")
    blue_first = IMAGES[..., ::-1].astype(np.float32) - np.float32([104, 117, 123])
    images = torch.from_numpy(blue_first.copy()).permute(0, 3, 1, 2)
    expected = reference(squeezenet, images)
    assert_allclose(features.extract(IMAGES, config), expected, rtol=1e-4, atol=1e-3)


def test_resnets_give_their_last_average_pooling(resnet18, tmp_path):
    config = dataclasses.replace(store(resnet18, tmp_path / "w.safetensors"), backbone="resnet18")
    made = features.extract(IMAGES, config)
    with torch.inference_mode():
        pooled = torch.nn.Sequential(*list(resnet18.children())[:-1])(rgb_normalised())
    assert_allclose(made, pooled.flatten(1).numpy(), rtol=1e-4, atol=1e-5)


def test_older_files_without_batch_counters_are_taken(resnet18, tmp_path):
    state = {k: t for k, t in resnet18.state_dict().items() if "num_batches" not in k}
    path = tmp_path / "w.safetensors"
    weights.write_tensors(path, state)
    assert backbones.load("resnet18", path).n_features == 512


def test_reduced_precision_is_close_to_full_and_used_only_where_asked(squeezenet, tmp_path):
    config = store(squeezenet, tmp_path / "w.safetensors")
    full = features.extract(IMAGES, config)
    assert_array_equal(full, features.extract(IMAGES, config))
    reduced = dataclasses.replace(config, precision=Precision.BFLOAT16)
    difference = np.abs(features.extract(IMAGES, reduced) - full).max()
    assert 0 < difference < 0.05 * np.abs(full).max()


def test_features_do_not_depend_on_the_images_beside_them(squeezenet, tmp_path):
    config = store(squeezenet, tmp_path / "w.safetensors")
    alone = features.extract(IMAGES[1:2], config)
    assert_allclose(alone[0], features.extract(IMAGES, config)[1], rtol=1e-4, atol=1e-5)


def test_progress_is_told_and_a_stop_is_obeyed(squeezenet, tmp_path):
    config = store(squeezenet, tmp_path / "w.safetensors")
    told = []
    features.extract(IMAGES, config, lambda fraction, message: told.append((fraction, message)))
    assert told == [(1.0, "Features of 3 of 3 images")]

    def stop(fraction, message):
        raise StoppedError("Asked to stop.")

    with pytest.raises(StoppedError):
        features.extract(IMAGES, config, stop)


@pytest.mark.parametrize("name", ["squeezenet", "resnet18", "resnet34", "resnet50"])
def test_without_weights_the_sentence_says_where_it_looked_and_what_to_do(name):
    with pytest.raises(InputError) as caught:
        features.extract(IMAGES, dataclasses.replace(CONFIG, backbone=name))
    text = str(caught.value)
    assert str(weights.cache_folder()) in text
    assert "--weights FILE" in text
    assert ".pth" in text
    assert "\n" not in text


def test_a_file_in_torchvisions_cache_is_found(squeezenet):
    weights.cache_folder().mkdir(parents=True)
    cached = weights.cache_folder() / "squeezenet1_0-b66bff10.pth"
    torch.save(squeezenet.state_dict(), cached)  # noqa: TID251
    assert backbones.locate("squeezenet", None) == cached
    expected = reference(squeezenet, rgb_normalised())
    assert_allclose(features.extract(IMAGES, CONFIG), expected, rtol=1e-4, atol=1e-5)


def test_weights_of_another_network_are_refused_with_what_was_missing(resnet18, tmp_path):
    config = store(resnet18, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"'w\.safetensors' are not those of 'squeezenet'"):
        features.extract(IMAGES, config)
    with pytest.raises(InputError, match="are not those of 'resnet50'"):
        features.extract(IMAGES, dataclasses.replace(config, backbone="resnet50"))


def test_weights_that_changed_since_the_run_was_made_are_refused(squeezenet, tmp_path):
    config = store(squeezenet, tmp_path / "w.safetensors")
    digest = weights.digest(tmp_path / "w.safetensors")
    features.extract(IMAGES, dataclasses.replace(config, weights_digest=digest))
    with pytest.raises(InputError, match="have changed since the run was made"):
        features.extract(IMAGES, dataclasses.replace(config, weights_digest="0" * 64))


def test_a_missing_file_an_unknown_backbone_and_other_images_are_refused():
    with pytest.raises(InputError, match=r"no weights file 'gone\.npz'; check --weights"):
        features.extract(IMAGES, dataclasses.replace(CONFIG, weights="gone.npz"))
    with pytest.raises(InputError, match="there are squeezenet, resnet18"):
        backbones.locate("vit", None)
    with pytest.raises(InputError, match=r"uint8 \(M, 40, 40, 3\)"):
        features.extract(IMAGES[:, :8], CONFIG)
    small = dataclasses.replace(CONFIG, image_size=16)
    with pytest.raises(InputError, match="too small for a backbone"):
        features.extract(IMAGES[:, :16, :16], small)


def test_features_are_read_back_as_they_were_written(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    features.write(tmp_path, values.T)
    assert_array_equal(features.read(tmp_path), values.T)


def test_a_full_disk_keeps_its_error_number(tmp_path):
    values = np.zeros((64, 1024), dtype=np.float32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is the point
            features.write(tmp_path, values)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
