"""What the grid would give without the battery."""

from bms.dispatch.view import SiteView


def net_load_w(view: SiteView) -> float | None:
    """Load less PV in W, import positive; None = not known now."""
    if view.load_power_w is not None:
        return view.load_power_w - (view.pv_power_w or 0.0)
    if view.grid_power_w is None or view.battery_power_w is None:
        return None
    return view.grid_power_w + view.battery_power_w
