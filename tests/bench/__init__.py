"""Measurements: what the software may cost, and what it does cost. `make bench` prints them."""
