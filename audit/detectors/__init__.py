"""Detectors: the dynamics of one run or of one probe group → `Scores`, one value per sample.

- `protocol`: the one verb that every detector has.
- `catalog`: what there is, with parameters, needs and limits, as a table for forms and help.
- `parameters`: their settings, checked.
- `registry`: builds a detector from its name and parameters.
- `evidence`: what several runs say together: checks, given labels, suggestions.
- `direct`: statistics of an ordinary run, `mixture`: a cut for one; `aum` with `aum_health`: the threshold
  probe; `dynacor`: the one with corrupted copies.

Higher suspicion is always worse; the method's own quantity stands beside it under its own name.
"""
