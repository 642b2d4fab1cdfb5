"""A report in the forms that are written. Pure."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, get_args

from appliance.batch_options import ReportFormat
from appliance.cold.batch.reports.data import as_csv, as_json
from appliance.cold.batch.reports.markdown import as_markdown
from appliance.cold.batch.reports.page import as_html
from appliance.cold.batch.reports.values import Report

FORMATS: Final[tuple[ReportFormat, ...]] = get_args(ReportFormat)


def rendered(report: Report, form: ReportFormat, zone: tzinfo) -> str:
    """The text of one form."""
    match form:
        case "html":
            return as_html(report, zone)
        case "md":
            return as_markdown(report, zone)
        case "csv":
            return as_csv(report)
        case "json":
            return as_json(report)
