"""Ranking."""

import streamlit as st

st.title("Ranking")
