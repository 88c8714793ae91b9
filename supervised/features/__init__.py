"""Features of face, voice and words: one row per frame of a video, on disk."""
