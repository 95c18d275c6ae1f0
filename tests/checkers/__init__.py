"""What the promises mean, said again: checkers that know nothing of meters, only of what was let in."""
