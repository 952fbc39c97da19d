"""What the sun gives on a clear day, and what clouds leave of it."""

from dataclasses import dataclass
from math import asin, cos, exp, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.day import DAY_S, HOUR_S
from hil_rigs.plant.load import Load, LoadProfile

Floats = NDArray[np.float64]

STANDARD_W_PER_M2 = 1000.0
"""Irradiance at which a module gives its rated power (IEC 61215, standard test conditions)."""
STEP_S = 60.0


def elevation_rad(day_of_year: float, hour: float, latitude_deg: float) -> float:
    """Of the sun at solar time `hour`; declination by Cooper (1969)."""
    declination = radians(23.45) * sin(2.0 * pi * (284.0 + day_of_year) / 365.0)
    latitude, hour_angle = radians(latitude_deg), radians(15.0 * (hour - 12.0))
    return asin(sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour_angle))


def clear_sky_w_per_m2(elevation: float) -> float:
    """Global horizontal irradiance by Haurwitz (1945); 0 at night."""
    height = sin(elevation)
    return 1098.0 * height * exp(-0.057 / height) if height > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Clouds:
    """Gaps and clouds take turns, each as long as chance wants around its mean; a cloud lets through a share drawn
    evenly between the two, and its edge passes over the modules in `edge_s`."""

    clear_s: float = 600.0
    cloudy_s: float = 180.0
    through_frac_min: float = 0.2
    through_frac_max: float = 0.7
    edge_s: float = 15.0


class ClearSky:
    """PV of `rated_w` on a clear day, under `clouds` where there are some: that day again and again. `performance_frac`
    is what modules and inverter make of the irradiance; the run starts at solar time `start_s` of the day."""

    def __init__(
        self,
        rated_w: float,
        latitude_deg: float,
        day_of_year: float,
        start_s: float,
        performance_frac: float,
        clouds: Clouds | None,
        rng: np.random.Generator,
    ) -> None:
        time_s = np.arange(0.0, DAY_S + STEP_S, STEP_S)
        irradiance = [
            clear_sky_w_per_m2(elevation_rad(day_of_year, float(at_s) / HOUR_S, latitude_deg)) for at_s in time_s
        ]
        power_w = rated_w * np.minimum(performance_frac * np.array(irradiance) / STANDARD_W_PER_M2, 1.0)
        self._clear: Load = LoadProfile(time_s, power_w)
        self._through = _cloudy(clouds, rng) if clouds is not None else None
        self._start_s = start_s
        self.power_w_max = self._clear.power_w_max

    def power_w(self, t_s: float) -> float:
        clear_w = self._clear.power_w(self._start_s + t_s)
        return clear_w if self._through is None else clear_w * self._through.power_w(self._start_s + t_s)


def _cloudy(clouds: Clouds, rng: np.random.Generator) -> LoadProfile:
    """Share of the clear sky's light over one day."""
    at_s, time_s, through = 0.0, [0.0], [1.0]
    while True:
        begin_s = at_s + clouds.edge_s + rng.exponential(clouds.clear_s)
        end_s = begin_s + 2.0 * clouds.edge_s + rng.exponential(clouds.cloudy_s)
        if end_s >= DAY_S:
            break
        share = rng.uniform(clouds.through_frac_min, clouds.through_frac_max)
        time_s += [begin_s, begin_s + clouds.edge_s, end_s - clouds.edge_s / 2.0, end_s + clouds.edge_s / 2.0]
        through += [1.0, share, share, 1.0]
        at_s = end_s + clouds.edge_s / 2.0
    return LoadProfile(np.array([*time_s, DAY_S]), np.array([*through, 1.0]))
