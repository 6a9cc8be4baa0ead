"""A farm's raw tables with known truth: realistic, seeded, of any size."""

from anchorline.demo.loading import FarmReport, load_farm
from anchorline.demo.truth_tables import FarmParameters, loaded_farm

__all__ = ["FarmParameters", "FarmReport", "load_farm", "loaded_farm"]
