"""The LSTM noise detector (Jia et al. 2023): learns from planted noise what wrong labels look like.

- `sequences`: dynamics → one sequence per row, gaps filled.
- `network`: two layers of LSTM, and their logits.
- `fitting`: trains it on planted noise and refuses what collapsed.
- `card`: what a file of weights says about itself, checked.
- `profile`: how its sequences are distributed.
- `domain`: in which ways a run differs from what the weights saw, in sentences.
- `weights`: a card and its network, from files; which of the shipped ones suits a run.
- `detector`: scores runs.

Only `network`, `fitting`, `weights` and `detector` know torch.
"""
