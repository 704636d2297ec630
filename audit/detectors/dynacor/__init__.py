"""DynaCor (Kim et al. 2024): cluster the dynamics of a run with the help of copies with wrong labels.

- `signs`: margins → sign sequences; equal ones are kept once, with how often they occur.
- `encoder`: sign sequences → representations, computed once per pattern of nine epochs.
- `losses`: cluster assignment and the two losses, over distinct sequences.
- `fitting`: trains the encoder, measures it, keeps the best epoch.
- `sanity`: what the copies say about the answer, and when there must be none.
- `detector`: all of it as a detector.

Only `encoder`, `losses` and `fitting` know torch; `detector` imports them when it is asked.
"""
