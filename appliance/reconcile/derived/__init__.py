"""Whether what is made of records is what the records give: views, last values, models, reports, taken files, alerts, evidence.

In: a ``Look`` at the folder, with SQL over its records where something has to be computed anew. Out: findings, and repairs that write
through the box's writer. Nothing is reported that was only seen in one of two looks while records come. Never here: DuckDB (its
processes are asked), a guess, or a repair of what nothing left proves.
"""
