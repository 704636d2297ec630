"""Outside formats: corrected labels, scores files, patches, and dynamics recorded elsewhere.

One module per format that owns both its writing and its reading. The room is a stranger to the
store and to the readers of datasets: records, arrays and paths come in as arguments.

- `exports` writes one export in any form, with its manifest; the other modules are its parts.
- `corrected` resolves decisions into labels; `tables` (csv, parquet), `original` (the user's own
  table, by way of `delimited`, `json_table` and `parquet_table`), `folders` and `patch` are forms.
- `scores_file` writes and reads what detectors say; `recorded` reads training dynamics that other
  tools recorded (`recorded_aum`, `recorded_cartography`).
- `writing` puts finished files in their place and nothing else; `safe_names` makes names safe for
  file systems; `spreadsheet` makes cells safe for spreadsheets.
"""
