"""Frozen nouns: dataset, run, preset, dynamics, scores, decision, job, progress.

Records validate themselves when made and know no files, clock, database or torch.
"""
