"""The tables and figures of the paper: what each runs, how it is judged and how it reads."""
