"""The shell around every page: navigation, who is deciding, what is running."""

import streamlit as st

from audit.ui import shell

shell.draw(st.navigation(shell.pages(), expanded=True))
