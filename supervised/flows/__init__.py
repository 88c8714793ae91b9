"""The main flows of the supervised half: training, prediction, adaptation."""
