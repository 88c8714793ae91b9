"""What the published numbers say when one recomputes them: PUBLISHED.md, a module a section; start at ``page.py``."""
