"""Style transfer: Gatys et al. 2016 by optimisation, Johnson et al. 2016 in one pass."""
