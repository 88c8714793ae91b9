"""Adaptation to each participant, with and without source data."""

from supervised.adaptation.recipe import METHODS, AdaptationRecipe

__all__ = ["METHODS", "AdaptationRecipe"]
