"""Backbones of faces, and fusion models over features."""
