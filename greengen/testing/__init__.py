"""What greengen is tested with, for authors of plug-ins too.

scripted       a clock that tests turn, and a collector that says what it is told to
fake_recording a recording by that clock: collectors are read when a test says so, straight to rows
http_meters    plugs and exporters on loopback, with a planted power and their faults
trees          sysfs and procfs trees of machines that are not at hand, faults included
fake_commands  commands of vendors, as shell scripts on the PATH
fake_pynvml    a stand-in for NVIDIA's library; fake_libtpu for Google's, fake_akida for BrainChip's
planted        a meter whose truth is known: proof on a machine without counters
serving        a simulator of inference servers, with the joules that each request really cost
"""
