"""Bulk changes of telephone numbers on Bandwidth's XML API: CSV or Parquet in, one result per row back."""

__version__ = "0.1.0"
