import numpy as np
from numpy.typing import NDArray

from kernels.cell_tables import CellTables
from kernels.series_model import SeriesModel, Spread

def variants() -> list[str]: ...

class SeriesCells:
    def __init__(
        self,
        cell: CellTables,
        strings: int,
        cells_per_string: int,
        spread: Spread | None = None,
        bleed_ohm: float = 33.0,
        threads: int = 1,
        variant: str | None = None,
    ) -> None: ...
    def step(
        self,
        voltage_v: NDArray[np.float64],
        mean: NDArray[np.void],
        dt_s: float,
        bleeding: NDArray[np.uint8] | None = None,
    ) -> None: ...
    def save(self) -> NDArray[np.float32]: ...
    def restore(self, state: NDArray[np.float32]) -> None: ...
    @property
    def soc_frac(self) -> NDArray[np.float32]: ...
    @property
    def soc_sigma_frac(self) -> NDArray[np.float32]: ...
    @property
    def shift_frac(self) -> NDArray[np.float64]: ...
    @property
    def curvature_v(self) -> NDArray[np.float64]: ...
    @property
    def resistance_factor(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    @property
    def capacity_factor(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    @property
    def model(self) -> SeriesModel: ...
    @property
    def variant(self) -> str: ...
