"""Predictions from and to other tools."""
