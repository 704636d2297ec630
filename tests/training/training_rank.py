"""One process of a training of several: records its shard, and keeps what it got for the test to compare."""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler

from audit.errors import AuditError
from audit.training.gap_recorder import GapRecorder
from audit.training.recorder import EpochRecorder
from audit.training.recording import Recorder
from audit.training.rows import Rows

N_ROWS, N_CLASSES, N_EPOCHS = 7, 40, 3
"""Seven rows and two ranks: `DistributedSampler` gives one of them to both."""

LABELS = np.arange(N_ROWS, dtype=np.int32) % N_CLASSES


def logits_of(epoch: int) -> torch.Tensor:
    drawn = np.random.default_rng(epoch).normal(0, 3, (N_ROWS, N_CLASSES))
    return torch.from_numpy(drawn.astype(np.float32))


def rows() -> Rows:
    return Rows(
        sample=np.arange(N_ROWS),
        assigned_label=LABELS,
        role=np.zeros(N_ROWS, np.int8),
        n_classes=N_CLASSES,
        n_outputs=N_CLASSES,
    )


def shards(sampler, epoch):
    """Batches of two rows of this rank, in a random order of the epoch; the last one may be smaller."""
    sampler.set_epoch(epoch)
    return torch.tensor(list(sampler)).split(2)


def record(kind, sampler, skipped=(), **settings):
    """Return everything that a recorder gave after each epoch, and its mean probabilities."""
    recorder = kind(rows(), **settings)
    kept = {}
    for epoch in range(N_EPOCHS):
        for some in shards(sampler, epoch):
            seen = some[[row not in skipped for row in some.tolist()]]
            recorder.observe(seen, logits_of(epoch)[seen])
        for name, values in recorder.end_epoch(group=dist.group.WORLD).items():
            kept[f"{name}_{epoch}"] = values
    mean = recorder.mean_probabilities()
    return kept | {"mean": mean.values, "classes": mean.classes}


def record_file(out, sampler, **settings):
    with Recorder(LABELS, out=out, **settings) as recorder:
        for epoch in range(N_EPOCHS):
            for some in shards(sampler, epoch):
                recorder.observe(some, logits_of(epoch)[some], LABELS[some])
            recorder.end_epoch()
    return recorder


def record_in_two_goes(out, sampler):
    """Record two epochs and fail, then go on with the third; the processes part before the end."""
    recorder = Recorder(LABELS, out=out)
    for epoch in range(N_EPOCHS):
        if epoch == 2:
            recorder.__exit__(ValueError, ValueError("out of luck"), None)
            dist.barrier()
            recorder = Recorder(LABELS, out=out, resume=True)
        for some in shards(sampler, epoch):
            recorder.observe(some, logits_of(epoch)[some])
        recorder.end_epoch()
    dist.destroy_process_group()
    recorder.close()


def sentence_of(act):
    try:
        act()
    except AuditError as error:
        return str(error)
    return ""


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    sampler = DistributedSampler(range(N_ROWS), seed=3)
    found = {
        "strict": record(EpochRecorder, sampler),
        "top": record(EpochRecorder, sampler, sums_cap_bytes=0),
        "gaps": record(GapRecorder, sampler, skipped=(1, 4)),
    }
    np.savez(
        folder / f"rank{rank}.npz",
        **{f"{what}_{name}": v for what, values in found.items() for name, v in values.items()},
    )
    record_file(folder / "whole.npz", sampler)

    def with_own_labels():
        recorder = Recorder(LABELS[rank:], out=folder / "other.npz")
        recorder.observe([0], logits_of(0)[:1])
        recorder.end_epoch()

    def without_end():
        recorder = Recorder(LABELS, out=folder / "unended.npz")
        recorder.observe([rank], logits_of(0)[:1])
        recorder.close()

    sentences = [sentence_of(with_own_labels), sentence_of(without_end)]
    (folder / f"rank{rank}.txt").write_text("\n".join(sentences))
    # One rank without a single batch, in the first epoch at that.
    with Recorder(LABELS, out=folder / "lonely.npz") as recorder:
        if rank == 1:
            recorder.observe(range(N_ROWS), logits_of(0))
        recorder.end_epoch()
    record_in_two_goes(folder / "resumed.npz", sampler)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
