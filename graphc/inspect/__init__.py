"""Looking inside: texts, pictures, reports and tables of graphs and compiled functions."""

from graphc.inspect.difference import diff_graphs
from graphc.inspect.dot import dot
from graphc.inspect.explain import explain
from graphc.inspect.explain_grad import explain_grad
from graphc.inspect.summary import summary

__all__ = ["diff_graphs", "dot", "explain", "explain_grad", "summary"]
