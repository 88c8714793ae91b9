"""Commands that look: at this machine, a data set, a run, or what a run would do."""
