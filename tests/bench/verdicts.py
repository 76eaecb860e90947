"""How often a verdict is wrong, and how often it finds what is there: 1000 simulated comparisons per cell.

python tests/bench/verdicts.py
"""

from __future__ import annotations

from greengen.testing.repeats import Machine, Order, simulate

MACHINES = {
    "scatter 3 %": Machine(),
    "and a drift of 0.5 % per repeat": Machine(drift=0.005),
    "and a drift of 3 % per repeat": Machine(drift=0.03),
    "and a random walk of 1 %": Machine(walk=0.01),
    "and a random walk of 3 %": Machine(walk=0.03),
    "three times the scatter in one": Machine(uneven=3.0),
    "a gain of 10 % that both share": Machine(gain=0.10),
    "a workload error of 10 % in each": Machine(workload=0.10),
}
ORDERS: tuple[Order, ...] = ("alternating", "blocks", "nested", "random")
COUNTS = (3, 5, 10)


def main() -> None:
    """Print both tables."""
    print("No difference: part called less or more (nominal: 5 %)")
    for name, machine in MACHINES.items():
        for order in ORDERS:
            rates = [simulate(machine, n, order=order, seed=n).decided for n in COUNTS]
            told = "  ".join(f"n={n}: {rate:6.1%}" for n, rate in zip(COUNTS, rates, strict=True))
            print(f"  {name:34} {order:12} {told}")
    print("A saving: part called less (scatter 3 %, drift 0.5 % per repeat)")
    for order in ORDERS[:2]:
        for saved in (0.03, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30):
            rates = [simulate(Machine(drift=0.005), n, saved=saved, order=order, seed=n).less for n in COUNTS]
            told = "  ".join(f"n={n}: {rate:6.1%}" for n, rate in zip(COUNTS, rates, strict=True))
            print(f"  {saved:34.0%} {order:12} {told}")


if __name__ == "__main__":
    main()
