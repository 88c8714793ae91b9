"""From what models answer to probabilities and labels."""

from bah_mllm.scoring.labels import Score, p_positive
from bah_mllm.scoring.parsing import PARSERS, Parser, find_parser
from bah_mllm.scoring.result import Result, row_result

__all__ = ["PARSERS", "Parser", "Result", "Score", "find_parser", "p_positive", "row_result"]
