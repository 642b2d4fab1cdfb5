"""Files that appear in a folder become records, each content once. In: the inbox. Out: submissions with progress, one file at a time.

``DropFolder`` owns the thread and everything under the inbox; ``inbox`` is the only place that touches the folder, always below a folder
descriptor and never through a link; ``settle`` decides when a file is whole. Nothing here parses.
"""

from appliance.sources.drop.source import DropFolder

__all__ = ["DropFolder"]
