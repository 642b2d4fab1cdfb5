"""The expression language of rules: text in, a checked program by column out.

``parse`` makes the tree of a condition as users write it, close to SQL; ``check_condition`` says whether it can be computed over the
columns there are; ``terms`` what must be computed outside (columns, aggregates, ``time_since``, ``baseline``); ``compile_`` makes
the ``Program`` that takes one vector of each term and gives one of the whole, with SQL's three-valued logic. ``parse_summary`` does
the same for the one-line messages. Every mistake is an ``ExpressionRefused`` that names its column.

Nodes, terms and summaries are frozen values for everybody; a program belongs to one thread. Never here: windows, rules, clocks, I/O, and
no loop over rows in Python.
"""

from appliance.hot.stream.expression.functions import CHANGES, COUNTS, OF_ANY_KIND, Statistic
from appliance.hot.stream.expression.kinds import check, check_condition, check_text
from appliance.hot.stream.expression.nodes import Aggregate, Baseline, Column, Expression, Term, TimeSince
from appliance.hot.stream.expression.parser import DEPTH_MAX, parse
from appliance.hot.stream.expression.program import Program, compile_
from appliance.hot.stream.expression.refused import ExpressionRefused
from appliance.hot.stream.expression.summary import Summary, parse_summary, show
from appliance.hot.stream.expression.terms import Scope, columns, scope_of, terms, threshold_of
from appliance.hot.stream.expression.tokens import BYTES_MAX
from appliance.hot.stream.expression.vectors import columns_to_vectors, vector_of

__all__ = [
    "BYTES_MAX",
    "CHANGES",
    "COUNTS",
    "DEPTH_MAX",
    "OF_ANY_KIND",
    "Aggregate",
    "Baseline",
    "Column",
    "Expression",
    "ExpressionRefused",
    "Program",
    "Scope",
    "Statistic",
    "Summary",
    "Term",
    "TimeSince",
    "check",
    "check_condition",
    "check_text",
    "columns",
    "columns_to_vectors",
    "compile_",
    "parse",
    "parse_summary",
    "scope_of",
    "show",
    "terms",
    "threshold_of",
    "vector_of",
]
