"""The one reader of tables that people bring: manifests, predictions and word tables.

Start at ``read_table``: it takes CSV with any usual separator and decimal sign, JSON lines, Parquet and Excel files,
and hands on typed cells with the line they stand in, or a DataError that names it.
"""

from bah_mllm.core.tables.cells import Kind, is_blank
from bah_mllm.core.tables.columns import Column, Layout
from bah_mllm.core.tables.reading import Row, Table, is_table, read_table

__all__ = ["Column", "Kind", "Layout", "Row", "Table", "is_blank", "is_table", "read_table"]
