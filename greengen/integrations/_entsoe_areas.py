"""Our zones → areas of ENTSO-E by their code (EIC).

From the list of areas in the guide of its API, as restated in entsoe-py (entsoe/mappings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

AREAS: Mapping[str, str] = MappingProxyType(
    {
        "AUT": "10YAT-APG------L",
        "BEL": "10YBE----------2",
        "BGR": "10YCA-BULGARIA-R",
        "CHE": "10YCH-SWISSGRIDZ",
        "CZE": "10YCZ-CEPS-----N",
        "DEU": "10Y1001A1001A83F",
        "DNK": "10Y1001A1001A65H",
        "ESP": "10YES-REE------0",
        "EST": "10Y1001A1001A39I",
        "FIN": "10YFI-1--------U",
        "FRA": "10YFR-RTE------C",
        "GRC": "10YGR-HTSO-----Y",
        "HRV": "10YHR-HEP------M",
        "HUN": "10YHU-MAVIR----U",
        "ITA": "10YIT-GRTN-----B",
        "LTU": "10YLT-1001A0008Q",
        "LVA": "10YLV-1001A00074",
        "NLD": "10YNL----------L",
        "NO1": "10YNO-1--------2",
        "NO2": "10YNO-2--------T",
        "NO3": "10YNO-3--------J",
        "NO4": "10YNO-4--------9",
        "NO5": "10Y1001A1001A48H",
        "NOR": "10YNO-0--------C",
        "POL": "10YPL-AREA-----S",
        "PRT": "10YPT-REN------W",
        "ROU": "10YRO-TEL------P",
        "SE1": "10Y1001A1001A44P",
        "SE2": "10Y1001A1001A45N",
        "SE3": "10Y1001A1001A46L",
        "SE4": "10Y1001A1001A47J",
        "SRB": "10YCS-SERBIATSOV",
        "SVK": "10YSK-SEPS-----K",
        "SVN": "10YSI-ELES-----O",
        "SWE": "10YSE-1--------K",
    }
)
