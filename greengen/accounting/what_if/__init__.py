"""What if: the same measured profiles at another place, in another hour, on other hardware, shared in another way.

Every function takes and gives quantities, so that what two choices have in common (a grid, a meter's gain) is one
error source in both and cancels where they are compared.
"""
