"""From what models answer to probabilities and labels."""

from bah_mllm.scoring.labels import Score, p_positive
from bah_mllm.scoring.parsing import PARSERS, Parser, find_parser
from bah_mllm.scoring.reading import Reading, read_answer

__all__ = ["PARSERS", "Parser", "Reading", "Score", "find_parser", "p_positive", "read_answer"]
