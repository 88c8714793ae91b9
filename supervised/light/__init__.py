"""Light baselines at video level: trees and linear models on language, cues and sentence embeddings."""
