"""Rules that need more than one field, HW2xx: one function a rule, given one contract, or one with all the others."""
