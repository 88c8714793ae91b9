"""Models over features of one or several modalities, from frames or windows to A/H in every frame or in a video."""
