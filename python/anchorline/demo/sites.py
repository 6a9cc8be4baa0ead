"""Where the fish live: geographies, stations, halls, areas, and containers that are reused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from anchorline.demo.biology import ADULT, STAGES
from anchorline.demo.registry import Records


@dataclass(frozen=True)
class Site:
    """A geography with one freshwater station; sea areas are opened as they are needed."""

    geography_id: int
    name: str
    code: str
    station_name: str
    hall_names: tuple[str, ...]
    area_names: tuple[str, ...]
    latitude: float
    longitude: float
    sea_mean_c: float
    sea_amplitude_c: float
    tgc_factor: float
    """Growth at this site relative to `biology.STAGES`."""


SITES: Final = (
    Site(
        1,
        "Faroe Islands",
        "FAR",
        'Við Áir "Norð"',
        (
            "Klekkihøll",
            "O'Hara's fry hall",
            "Parr 'B'",
            "Smolt - 北",
            "Post-Smolt",
        ),
        ("Hvannasund", "Árnafjørður", "Gøta"),
        62.26,
        -6.51,
        8.4,
        2.0,
        1.0,
    ),
    Site(
        2,
        "Scotland",
        "SCO",
        "Loch O'Fearna",
        ("Hatchery", "Fry hall", "Parr hall", "Smolt hall", "Post-smolt hall"),
        ('Sound of "Gigha"', "Loch Linnhe"),
        56.90,
        -5.40,
        9.2,
        2.7,
        0.93,
    ),
)

CONTAINER_TYPES: Final = (
    # id, name, category, volume m3
    (1, "Incubation Trays", "TRAY", 10),
    (2, "Small Tanks - Fry", "TANK", 100),
    (3, "Medium Tanks - Parr", "TANK", 500),
    (4, "Large Tanks - Smolt", "TANK", 1_000),
    (5, "Pre-Transfer Tanks - Post-Smolt", "TANK", 2_000),
    (6, "Sea Rings", "PEN", 50_000),
    (7, "Wellboat holds", "OTHER", 3_000),
)

VESSEL: Final = 6
"""The kind of a wellboat's hold; kinds 0 to 5 are those of the stages."""

PENS_PER_AREA: Final = 26
PARAMETER_ID: Final = 4
PARAMETER_ID_LOWER_CASE: Final = 8
DAYS_BETWEEN_STAYS: Final = 3
"""Days for which a container stands empty and is cleaned."""


@dataclass
class Container:
    """A container, what its sensor is like, and when it is taken [days since 1970]."""

    container_id: int
    sensor_id: int
    parameter_id: int
    temp_offset_c: float
    readings_per_day: int
    taken: list[tuple[int, int]] = field(default_factory=list)

    def is_free(self, first_day: int, last_day: int) -> bool:
        """Tell whether nobody has the container on or shortly around these days."""
        return all(
            last_day + DAYS_BETWEEN_STAYS < first or last + DAYS_BETWEEN_STAYS < first_day
            for first, last in self.taken
        )


class ContainerPool:
    """Hands out containers; builds a new one only where all of its kind are taken.

    So a farm of many batches reuses its tanks, as farms do, and this is the only thing
    that grows with the farm: a few thousand containers for 145 batches.
    """

    def __init__(self, records: Records, rng: np.random.Generator) -> None:
        self._records = records
        self._rng = rng
        self._containers: dict[tuple[int, int], list[Container]] = {}
        self._areas: dict[int, int] = {}

    def take(self, site: Site, kind: int, first_day: int, last_day: int) -> Container:
        """Return a container that is free on these days [days since 1970] and mark it taken."""
        containers = self._containers.setdefault((site.geography_id, kind), [])
        for container in containers:
            if container.is_free(first_day, last_day):
                break
        else:
            container = self._build(site, kind, len(containers))
            containers.append(container)
        container.taken.append((first_day, last_day))
        return container

    def _build(self, site: Site, kind: int, number: int) -> Container:
        records = self._records
        station = SITES.index(site)
        stage = STAGES[min(kind, ADULT)]
        type_id, _, category, volume = CONTAINER_TYPES[kind]
        name = f"{site.code}-{category[0]}{kind + 1}-{number + 1:03d}"
        if kind == ADULT:
            name = f"{site.code} Ring {number + 1:02d}"
            if number % 9 == 4:
                name = f'Кольцо {number + 1} "{site.code}"'
        elif number % 11 == 3:
            name = f"{name} 'O'"
        container_id = records.add(
            "infrastructure_container",
            name=name,
            volume_m3=volume,
            max_biomass_kg=stage.max_biomass_kg,
            active=True,
            area_id=self._area(site, number) if kind == ADULT else None,
            hall_id=station * ADULT + kind + 1 if kind < ADULT else None,
            container_type_id=type_id,
            feed_recommendations_enabled=kind != VESSEL,
            hierarchy_role="HOLDING",
        )
        if number == 4 and kind == ADULT:
            records.case("odd_name", "infrastructure_container", container_id)
        sensor_id = records.add(
            "infrastructure_sensor",
            name=f"{name} Temperature",
            sensor_type="Temperature",
            serial_number=f"SN-{container_id:05d}-TEM",
            manufacturer="AquaSense",
            active=True,
            container_id=container_id,
        )
        lower_case = container_id % 7 == 0
        return Container(
            container_id=container_id,
            sensor_id=sensor_id,
            parameter_id=PARAMETER_ID_LOWER_CASE if lower_case else PARAMETER_ID,
            temp_offset_c=float(self._rng.normal(0.0, 0.3)),
            readings_per_day=6 if container_id % 5 == 0 else 4,
        )

    def _area(self, site: Site, number: int) -> int:
        """Return the area of a pen; areas are opened one after another."""
        index = number // PENS_PER_AREA
        opened = self._areas.setdefault(site.geography_id, 0)
        while opened <= index:
            round_number, place = divmod(opened, len(site.area_names))
            name = site.area_names[place] + (f" {round_number + 1}" if round_number else "")
            self._records.add(
                "infrastructure_area",
                id=_area_id(site, opened),
                name=name,
                latitude=site.latitude + 0.01 * opened,
                longitude=site.longitude,
                max_biomass=5_000_000,
                active=True,
                geography_id=site.geography_id,
            )
            opened += 1
        self._areas[site.geography_id] = opened
        return _area_id(site, index)


def _area_id(site: Site, index: int) -> int:
    return index * len(SITES) + site.geography_id


def add_sites(records: Records) -> None:
    """Add what every farm has before its first batch: places, kinds of containers, sensors."""
    for site in SITES:
        records.add(
            "infrastructure_geography",
            id=site.geography_id,
            name=site.name,
            description=f"{site.name} region",
        )
        station_id = records.add(
            "infrastructure_freshwaterstation",
            name=site.station_name,
            station_type="FRESHWATER",
            latitude=site.latitude,
            longitude=site.longitude,
            active=True,
            geography_id=site.geography_id,
        )
        records.case("odd_name", "infrastructure_freshwaterstation", station_id)
        for name in site.hall_names:
            records.add(
                "infrastructure_hall",
                name=name,
                area_sqm=1_000,
                active=True,
                freshwater_station_id=station_id,
            )
    for type_id, name, category, volume in CONTAINER_TYPES:
        records.add(
            "infrastructure_containertype",
            id=type_id,
            name=name,
            category=category,
            max_volume_m3=volume,
        )
    parameters = {
        1: ("Dissolved Oxygen", "%"),
        3: ("pH", "pH"),
        PARAMETER_ID: ("Temperature", "°C"),
    }
    parameters[PARAMETER_ID_LOWER_CASE] = ("temperature", "°C")
    for parameter_id, (name, unit) in parameters.items():
        records.add("environmental_environmentalparameter", id=parameter_id, name=name, unit=unit)
    for parameter_id, case in (
        (PARAMETER_ID, "parameter_named_capitalised"),
        (PARAMETER_ID_LOWER_CASE, "parameter_named_lower_case"),
    ):
        records.case(case, "environmental_environmentalparameter", parameter_id)
