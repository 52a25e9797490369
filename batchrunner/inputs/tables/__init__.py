"""Reads tables of any format: bytes → rows of cells with their positions."""

from batchrunner.inputs.tables.opening import open_table
from batchrunner.inputs.tables.table import (
    Cell,
    Column,
    Row,
    Table,
    TableKind,
    TableLog,
    TableOptions,
)

__all__ = ["Cell", "Column", "Row", "Table", "TableKind", "TableLog", "TableOptions", "open_table"]
