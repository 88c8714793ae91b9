"""Cues: observable signs of a video as timed events, relative to the person's usual behaviour.

Perception backends and sound give signals (``Track``), pooled over a participant's videos into what is usual for that
person (``Usual``), against which detectors find events (``CueEvent``) named as in the annotators' codebook.
"""
