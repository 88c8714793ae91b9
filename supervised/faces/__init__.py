"""Backbones trained on pictures of faces: emotions, then A/H; see README.md here."""
