"""What a report is: its text taken apart, its parameters as values of SQL, its answers, and all that as HTML, Markdown, CSV and JSON.

In: the text of a report, the day that it is about, tables of Arrow. Out: one value, ``Report``, the texts that it is rendered to, how
it differs from an earlier one, and whether it is due to be made anew. Pure: nothing here runs a query, opens a file or reads a clock;
``appliance.batching.reports`` does. Data never becomes markup: what stands in a cell is escaped wherever it is shown.
"""
