"""Recipes (TOML) and the main flows that they steer."""
