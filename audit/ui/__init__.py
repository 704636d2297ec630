"""The dashboard's widgets: what pages draw with. Pages lie in ``pages/`` and know no widget's inside.

`main` is the script that Streamlit runs: it draws the shell and the page. It lies here and not
beside ``pages/``, where Streamlit would serve a deep link on a fresh server without the shell.
"""

from pathlib import Path

MAIN_SCRIPT = Path(__file__).resolve().parent / "main.py"
"""The script that Streamlit runs for every page."""
