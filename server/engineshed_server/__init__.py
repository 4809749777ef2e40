"""Engineshed's server: the download site and the portal are this one program."""
