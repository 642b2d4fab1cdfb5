"""What the workloads of a data folder that no service holds have taken and cost, as it was stored."""

from __future__ import annotations

from pathlib import Path

from appliance.hot.meter_tables import load_costs
from appliance.observe.costs import Costs
from appliance.observe.meter_pictures import cost_picture, default_since_us
from appliance.observe.meters import CostPicture
from appliance.serving.folder import open_folder
from appliance.serving.held import held_bytes


def folder_cost(folder: Path, *, since_us: int | None, now_us: int, endurance_bytes: int | None) -> CostPicture:
    """Raises what ``open_folder`` does."""
    with open_folder(folder) as (reader, state):
        costs = Costs()
        costs.load(load_costs(reader), now_us=now_us)
        return cost_picture(
            costs,
            since_us=default_since_us(now_us) if since_us is None else since_us,
            now_us=now_us,
            disk=held_bytes(folder, state),
            memory={},
            endurance_bytes=endurance_bytes,
        )
