"""Adaptation to each participant, with and without source data."""
