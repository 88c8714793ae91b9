"""The main flows, each one readable file."""
