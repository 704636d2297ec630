"""labeltrace: find mislabelled images by watching how a network learns each label.

The floors, from the top: ``cli`` and ``worker`` (doors), ``workbench`` (instant verbs) and ``tasks``
(long verbs), ``jobs``, the rooms ``training``, ``detectors``, ``datasets``, ``exchange`` and
``store``, then ``compute``, ``records``, ``numerics`` and ``errors``. Imports only point down;
``docs/architecture.md`` draws the house.
"""

__version__ = "0.1.0"
