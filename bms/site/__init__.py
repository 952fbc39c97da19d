"""The site file: `file` is the whole, the modules beside it its parts, `warnings` says what is allowed and yet odd."""

from bms.site.applications import Application
from bms.site.converter_loop import ConverterLoop
from bms.site.devices import (
    AuxiliaryDevice,
    BatteryBus,
    CanBus,
    ContactorBlock,
    GridMeterDevice,
    IntertieDevice,
    InverterDevice,
    PvInverterDevice,
    PvMeterDevice,
    known_profile,
)
from bms.site.fast_lane import FastLane
from bms.site.faults import FaultSetting
from bms.site.file import Controller, Site, SiteSettings, dump_site, load_site, site_settings
from bms.site.island import Island, LoadBlock
from bms.site.limits import Balancing, Limits, Precharge
from bms.site.links import SerialPort, Tls
from bms.site.monitors import CurrentSensor, FoxBms, InsulationMonitor
from bms.site.north import North
from bms.site.rack import Rack, existing_cell
from bms.site.safety import Safety
from drivers.config.config_yaml import ConfigErrors

__all__ = [
    "Application",
    "AuxiliaryDevice",
    "Balancing",
    "BatteryBus",
    "CanBus",
    "ConfigErrors",
    "ContactorBlock",
    "Controller",
    "ConverterLoop",
    "CurrentSensor",
    "FastLane",
    "FaultSetting",
    "FoxBms",
    "GridMeterDevice",
    "InsulationMonitor",
    "IntertieDevice",
    "InverterDevice",
    "Island",
    "Limits",
    "LoadBlock",
    "North",
    "Precharge",
    "PvInverterDevice",
    "PvMeterDevice",
    "Rack",
    "Safety",
    "SerialPort",
    "Site",
    "SiteSettings",
    "Tls",
    "dump_site",
    "existing_cell",
    "known_profile",
    "load_site",
    "site_settings",
]
