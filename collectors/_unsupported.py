"""What is not read, and why: `greengen doctor` shows it, so that nobody looks for it in vain.

An interface is read only when its format was seen in a foreign capture, or in a source that its file
names. These were not, or say nothing that another interface does not say better.
"""

from __future__ import annotations

from greengen.collector import Unavailable

UNSUPPORTED = (
    Unavailable(
        "CPU: model-specific registers (/dev/cpu/*/msr)",
        "they are the counters that powercap and perf show, for root with CAP_SYS_RAWIO only",
        "rapl, or perf_power",
    ),
    Unavailable(
        "AMD EPYC: /dev/hsmp and its metrics_bin",
        "their message numbers and tables were not looked up; newer kernels show the power in hwmon",
        "amd_hsmp (a kernel with CONFIG_HWMON in amd_hsmp), or rapl",
    ),
    Unavailable(
        "AMD GPU: energy in gpu_metrics 1.0 to 1.3, but for MI200",
        "no source states its unit for these chips, and several show 0",
        "amdgpu reads their power",
    ),
    Unavailable(
        "AMD APU: gpu_metrics 2.0 to 2.3",
        "their power is in W or in mW, by firmware, and nothing in the table says which",
        "amdgpu reads power1_average or power1_input, or rapl the package",
    ),
    Unavailable(
        "AMD GPU: gpu_metrics 1.8 and later",
        "two layouts of 1.8 are in circulation, and 1.9 is a list of attributes rather than a table",
        "amdgpu reads power1_input",
    ),
    Unavailable(
        "AMD APU: power of the GPU and the NPU alone (gpu_metrics 3.0)",
        "it is part of the package, which RAPL counts, and would be counted twice beside it",
        "the package, by rapl or amdgpu",
    ),
    Unavailable(
        "AMD GPU: the amdsmi library",
        "it must match the ROCm that is installed; the kernel shows the same counter and power",
        "amdgpu",
    ),
    Unavailable(
        "Intel GPU: Level Zero sysman and xpu-smi",
        "they show the counters that the kernel shows in hwmon",
        "intel_gpu",
    ),
    Unavailable(
        "Intel integrated GPU alone",
        "its driver counts no energy (i915 and xe: discrete GPUs only)",
        "rapl: the uncore domain of the package",
    ),
    Unavailable(
        "AMD GPU: time per process under ROCm",
        # Umio-Yasuno/amdgpu_top issue 49; the kfd's own files tell memory, and no time in a unit that was looked up.
        "its queues bypass the driver's books (DRM fdinfo), which would give such work nothing: while any process has "
        "opened the KFD, an AMD GPU's energy is not divided between processes",
        "one service per GPU",
    ),
    Unavailable(
        "Other hwmon drivers that show power (scmi_sensors, corsair-psu, pmbus chips …)",
        "what they cover is up to firmware or board, and which of their channels belong together was not looked up",
        "a chip that power_monitor knows",
    ),
    Unavailable(
        "Smart plugs of other makers (TP-Link Kasa and Tapo, myStrom), Home Assistant, Shelly EM and 3EM",
        "what they answer was not looked up; an EM has its counter in a second component",
        "plug: Shelly plugs and relays, Tasmota; or import what another tool recorded (greengen import csv)",
    ),
    Unavailable("Rack PDUs over SNMP", "each maker's table is another, and none was looked up", "redfish: an outlet"),
    Unavailable(
        "Redfish: power supplies' own readings, and EnergykWh",
        "some makers give a supply's rating as its reading, and energy comes in steps of 1 kWh",
        "redfish: the chassis, by its power",
    ),
    Unavailable(
        "Raspberry Pi 4 and older: power",
        "their power chip measures no current that software can read",
        "plug, or an INA226 in the supply (power_monitor)",
    ),
    Unavailable(
        "Macs with an Intel CPU: powermetrics",
        "it tells a package power of Intel's energy model, and the keys of its property list were not looked up",
        "plug",
    ),
    Unavailable(
        "Windows: channels of AMD's SMU (Current Socket Power, Apu Power …) and of boards' own meters",
        "which of them hold the others was not looked up, and adding them would count twice",
        "emi: the RAPL channels",
    ),
    Unavailable(
        "Android: batterystats, BatteryManager, Perfetto's battery counters",
        "batterystats' numbers are models of the phone's maker, and which sign and unit a battery's current has is up "
        "to it as well",
        "greengen import odpm or perfetto, on phones whose power rails are metered",
    ),
    Unavailable(
        "Apple: system power by the SMC (key PSTR), iPhones and iPads",
        "which Macs have the key was not looked up, nor what iPhones and iPads tell",
        "ioreport, or powermetrics",
    ),
    Unavailable("Jetson: tegrastats", "it shows the rails that the kernel shows, rounded to mW", "jetson"),
    Unavailable(
        "Google Coral (Edge TPU): power and busy time",
        "it has no power sensor, and its driver counts no busy time: only its temperature can be read",
        "a USB meter or plug around it, or an INA226 in its supply (power_monitor)",
    ),
    Unavailable(
        "AMD NPU (XDNA): busy time",
        "of its columns only an ioctl tells, and per process only the fdinfo of clients that are alive",
        "xdna reads its power, and rapl the package that holds it",
    ),
    Unavailable(
        "Rockchip NPU under the mainline kernel (driver rocket)",
        "its driver shows no load of the device; per process there is fdinfo, of clients that are alive",
        "Rockchip's own kernel (accelerator: rknpu), or a meter in the supply (power_monitor, plug)",
    ),
    Unavailable(
        "AWS Neuron: stats/power/utilization",
        "it is a part of a maximum power that AWS does not publish, once a minute",
        'state what a chip draws: GREENGEN_ACCELERATOR="neuron=IDLE/ACTIVE"',
    ),
    Unavailable(
        "Ascend DCMI (libdcmi), Gaudi HLML (pyhlml), HailoRT's own library",
        "they show the sensors that the commands npu-smi, hl-smi and hailortcli show",
        "ascend, gaudi, hailo",
    ),
    Unavailable(
        "Intel Loihi (lava.utils.profiler)",
        # lava-nc/lava pull requests 233 and 444: the base class chooses Loihi2HWProfiler of lava-loihi.
        "its hardware profiler is in lava-loihi, which only members of Intel's research community have, and tells "
        "one energy for a whole run",
        "import its numbers (greengen import csv)",
    ),
    Unavailable(
        "Furiosa, Rebellions, Groq, Cerebras, Graphcore, SpiNNaker, Snapdragon's Hexagon under Linux",
        "what their tools show was not looked up, or they have none that is public",
        "the whole machine: redfish, ipmi, plug",
    ),
)
