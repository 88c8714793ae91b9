"""Training of face backbones on pixels."""
