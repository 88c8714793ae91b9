"""Light baselines at video level: trees and linear models on words, language and cues; see README.md here."""
