"""A rig's battery for the bench without wires."""

from hil_rigs.comply.quick_site import QuickBattery
from hil_rigs.pv_spec import ClearSkyPv
from hil_rigs.rig import RigFile
from kernels.parameters import load_cell


def halved(rig: RigFile) -> RigFile:
    """A solar site of half the size: one of two racks, half the converter and PV. In shares of what is rated it is the
    same, at half the cost."""
    plant = rig.plant.model_copy(update={"racks": 1, "inverter_power_w": rig.plant.inverter_power_w / 2.0})
    pv = rig.pv
    if isinstance(pv, ClearSkyPv):
        pv = pv.model_copy(update={"rated_power_w": pv.rated_power_w / 2.0})
    return rig.model_copy(update={"plant": plant, "pv": pv})


def quick_battery(rig: RigFile, soc_frac: float | None = None) -> QuickBattery:
    """The rig's racks together behind its converter; `soc_frac` replaces the rig's own start."""
    plant = rig.plant
    cells = plant.racks * plant.modules_per_rack * plant.cells_per_module
    return QuickBattery(
        plant.inverter_power_w,
        plant.inverter_power_w,
        energy_wh=cells * load_cell(plant.cell).energy_wh,
        soc_frac=plant.soc_frac if soc_frac is None else soc_frac,
    )
