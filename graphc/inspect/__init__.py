"""Looking inside: texts, pictures, reports and tables of graphs and compiled functions."""

from graphc.inspect.dot import dot
from graphc.inspect.summary import summary

__all__ = ["dot", "summary"]
