"""The updater: fetches, verifies, replaces, probes, reports. Linux and Windows; imports no server library."""
