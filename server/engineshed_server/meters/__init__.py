"""Counters over all processes of a portal, and the text for Prometheus; alone imports prometheus_client.

    shared.empty(folder)                       once, before the first worker is forked
    meters = open_meters(folder)               in each worker
    meters.count(POLLS, "order", "offer")
    meters.expose(readings)                    in whichever worker is asked

Each process counts in a file of its own that it has mapped into its memory: a count is there for the others
at once, and is lost by no kill. Who is asked adds up all files. When a worker ends, its file is added to that
of those who ended before, so a year of restarts is one file.
"""
