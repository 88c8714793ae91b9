"""What every other part speaks: errors, the timeline of a video, records, the Engine protocol, lazy loading."""
