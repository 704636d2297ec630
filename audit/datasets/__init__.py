"""Where images come from: folders, tables and arrays become plans, plans become pixels.

``sources`` decides what a path is and makes the `ImportPlan`, by way of ``folder`` (class per
folder), ``table`` (CSV, TSV, Parquet, JSON lines; ``delimited``, ``columnar`` and ``jsonlines``
read them as text, ``columns`` finds out which column is which) and ``arrays`` (``.npz`` without
pickle, memory-mapped in place by ``zipped``). They share ``classes`` (names to indices, odd
names), ``splits``, ``heads`` (is this file an image at all?), ``names``, ``skipping`` and ``fingerprint``
(what makes two datasets the same).

``images`` turns any image file into RGB and RGB into a square; ``reader`` finds the bytes of one
sample; ``pixels`` decodes a whole dataset for a training.

Nothing here copies, moves or changes a file of the user; no torch, no SQL.
"""
