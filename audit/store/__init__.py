"""The workspace on disk: rows for facts, files for arrays.

``workspace`` opens one, ``database`` names its tables, ``artifacts`` seals folders; then one
module per noun (``datasets``, ``runs``, ``dynamics``, ``scores``, ``decisions``, ``jobs``,
``pixels``) with the workspace as first argument. Only this room knows SQL and the names of files
in a workspace.
"""
