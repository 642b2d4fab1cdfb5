"""The command line: one file for each group of commands, loaded when its command is called.

Data goes to standard output, talk to standard error. What a user can cause is one line and an exit status, never a traceback.
``--help`` imports neither Textual, DuckDB nor PyArrow.
"""
