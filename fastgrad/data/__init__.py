"""Tables from CSV files and their encoding, and rows that stay in files larger than memory."""

from fastgrad.data.encoding import Encoder
from fastgrad.data.file_rows import FileRows
from fastgrad.data.table import Table, read_table

__all__ = ["Encoder", "FileRows", "Table", "read_table"]
