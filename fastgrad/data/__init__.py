"""Tables read from CSV files, and their encoding as arrays that a network can train on."""

from fastgrad.data.encoding import Encoder
from fastgrad.data.table import Table, read_table

__all__ = ["Encoder", "Table", "read_table"]
