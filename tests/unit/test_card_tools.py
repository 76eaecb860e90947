"""What the commands of Ascend, Gaudi, Qualcomm and Hailo print, as recorded elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from greengen.collectors import ascend, gaudi, hailo, qualcomm
from greengen.collectors._command import CommandError
from greengen.testing.fake_commands import hl_smi, measure_power, npu_smi_common, npu_smi_info, qaic_util

#: Of a real machine, github.com/vllm-project/vllm-ascend issue 2035, its first card.
A3 = """+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc3.7               Version: 24.1.rc3.7                                           |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     Ascend910           | OK            | 178.8       36                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 0           0    / 0          3397 / 65536         |
+------------------------------------------------------------------------------------------------+
| 0     Ascend910           | OK            | -           36                0    / 0             |
| 1     1                   | 0000:9F:00.0  | 0           0    / 0          3186 / 65536         |
+===========================+===============+====================================================+
"""
#: Of a real machine with 310P3, in logs of vllm-ascend: no HBM, `NA` for the power, one bus for both dies.
DUO = """+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 1       310P3                 | OK              | NA           49                0     / 0             |
| 0       0                     | 0000:01:00.0    | 80           1448 / 44278                            |
+-------------------------------+-----------------+------------------------------------------------------+
| 1       310P3                 | OK              | NA           45                0     / 0             |
| 1       1                     | 0000:01:00.0    | 20           1511 / 43693                            |
+===============================+=================+======================================================+
"""


def answering(*answers: tuple[str, str]) -> Callable[..., str]:
    """npu-smi, by the arguments that it is called with."""
    return lambda *arguments: dict(answers)[" ".join(arguments)]


def test_a_card_of_two_dies_is_one() -> None:
    [(npu, card)] = ascend.cards(A3)
    assert (npu, card.key, card.power_w, card.busy) == ("0", "0000:9D:00.0", 178.8, 0.0)
    assert card.name == "Ascend 910 (NPU 0, 2 dies)"


def test_wider_columns_are_the_same() -> None:
    narrow, wide = (ascend.cards(npu_smi_info(("910B3", ("287.4",)), wide=wide)) for wide in (False, True))
    assert narrow == wide
    assert narrow[0][1].name == "Ascend 910B3 (NPU 0)"
    assert narrow[0][1].busy == 0.5


def test_dies_that_show_their_own_power_are_one_each() -> None:
    found = [card for _, card in ascend.cards(npu_smi_info(("310", ("12.8", "11.5", "NA"))))]
    assert [(card.key, card.power_w) for card in found] == [
        ("0000:9D:00.0/0", 12.8),
        ("0000:9F:00.0/1", 11.5),
        ("0000:A1:00.0/2", None),
    ]


def test_a_card_whose_dies_show_none_is_asked_for_at_its_controller() -> None:
    [card] = ascend.ask(answering(("info", DUO), ("info -t common -i 1", npu_smi_common("42.8"))))
    assert (card.key, card.power_w, card.trouble, card.note) == ("0000:01:00.0", 42.8, "", "by its controller")
    assert card.busy == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("visible", "npus"),
    [
        ("0", ["0"]),
        ("1", ["0"]),  # its other die
        ("2,3", ["1", "2"]),
        ("0,3", ["0", "2"]),
        ("3, 0", ["2"]),  # a blank ends the list
        ("2,7,0", ["1"]),  # and so does an id that no device has
    ],
)
def test_only_the_cards_that_are_visible_are_read(visible: str, npus: list[str]) -> None:
    text = npu_smi_info(("Ascend910", ("178.5", "-")), ("910B3", ("91.3",)), ("910B3", ("92.3",)))
    assert [npu for npu, _ in ascend.cards(text, visible)] == npus


@pytest.mark.parametrize("visible", ["", "9", "x", "-1"])
def test_no_card_is_left(visible: str) -> None:
    with pytest.raises(ValueError, match="names none of the 2 devices"):
        ascend.cards(A3, visible)


@pytest.mark.parametrize("common", [npu_smi_common("NA"), "\tChip ID  : 0\n\tNPU Real-time Power(W)  : 71.7\n", ""])
def test_what_is_not_of_the_controller_is_not_the_cards(common: str) -> None:
    [card] = ascend.ask(answering(("info", DUO), ("info -t common -i 1", common)))
    assert card.power_w is None
    assert "'NA'" in card.trouble


def test_only_the_modules_that_are_visible_are_read() -> None:
    text = hl_smi((2, "226 W", "0 %"), (3, "230 W", "97 %"), (0, "N/A", "N/A"))
    assert [card.power_w for card in gaudi.cards(text)] == [226.0, 230.0, None]
    [card] = gaudi.cards(text, "3")
    assert (card.name, card.busy, card.limit_w) == ("Intel Gaudi HL-325L (module 3)", 0.97, 850.0)
    with pytest.raises(ValueError, match=r"names none of the modules that hl-smi lists \(2, 3, 0\)"):
        gaudi.cards(text, "7")


def test_a_column_that_is_not_shown_is_no_card() -> None:
    with pytest.raises(ValueError, match="lists no card"):
        gaudi.cards("0, 2, 01P4, HL-325L, 226 W\n")


def test_header_and_numbers_without_units() -> None:
    head = "index, module_id, uuid, name, power.draw [W], power.max [W], utilization.aip [%]"
    text = f"{head}\n0, 2, U, HL-225, 96, 600, 3\n"
    [card] = gaudi.cards(text)
    assert (card.power_w, card.limit_w, card.busy) == (96.0, 600.0, 0.03)


def test_devices_of_one_board_show_its_power_once() -> None:
    text = qaic_util(("S1", 48, 11), ("S1", 47, 12), ("S1", 48, 11), ("S1", 48, 11), ("S2", 52, 13))
    ultra, other = qualcomm.cards(text)
    assert (ultra.key, ultra.power_w, ultra.limit_w) == ("S1", 48.0, 150.0)
    assert ultra.name == "Qualcomm Cloud AI Pcie Ultra (QID 0, 1, 2, 3)"
    assert (other.key, other.power_w) == ("S2", 52.0)


def test_a_board_that_shows_0_is_the_sum_of_its_socs() -> None:
    [card] = qualcomm.cards(qaic_util(("S1", 0, 20), ("S1", 0, 21)))
    assert (card.power_w, card.note) == (41.0, "its SoCs only: the board shows 0 W")


def test_an_ultra_without_serials_would_be_counted_four_times() -> None:
    every = qualcomm.cards(qaic_util(("", 48, 11), ("", 48, 11)))
    assert [card.power_w for card in every] == [None, None]
    assert "no board serial" in every[0].trouble
    assert qualcomm.cards(qaic_util(("S", 48, 11)).replace("serial:S", "serial:"))[0].power_w is None
    [single] = qualcomm.cards(qaic_util(("", 48, 11), sku="PCIe Pro"))
    assert (single.key, single.power_w) == ("0000:2d:00.0", 48.0)


def test_without_permission_a_device_is_in_error() -> None:
    [card] = qualcomm.cards("QID 0\n\tStatus:Error\n\tPCI Address:0000:2d:00.0\n")
    assert (card.power_w, card.trouble) == (None, "shows no power (status Error)")


def test_a_module_without_the_sensor_does_not_hide_the_others() -> None:
    text = measure_power(("0000:01:00.0", None), ("0000:02:00.0", 2.84))

    def run() -> str:
        msg = "hailortcli failed (16)"
        raise CommandError(msg, text)

    without, sensed = hailo.ask(run)
    assert (without.key, without.power_w) == ("0000:01:00.0", None)
    assert "could not measure" in without.trouble
    assert (sensed.key, sensed.power_w) == ("0000:02:00.0", 2.84)
    text = measure_power(("0000:01:00.0", None))
    with pytest.raises(CommandError, match="failed"):
        hailo.ask(run)


def test_one_device_that_is_not_named() -> None:
    [card] = hailo.cards("Current power consumption (W): 2.84\n")
    assert (card.key, card.power_w) == ("0", 2.84)
