"""Formulas: arrays in, arrays out; no files, clock, environment or torch.

- `arrays`: names for the kinds of array that go in.
- `signals`: logits of an epoch → one value per row (margin, probability, loss, …).
- `ranking`: signals of a run → one value per row, suspicion, suggested labels.
- `histograms`: two sets of values on common bins, and how far they overlap.
- `mixtures`: two Gaussians on one axis.
- `metrics`: how well suspicion and flags find wrong labels, where the truth is known.
- `noise`: seeded generators of wrong labels.
"""
