"""How workers are called and run: the only importer of Celery.

    app        Celery's configuration: a broker and one task, which carries a job's id
    bell       rings for a job
    worker     hears the bell: opens the portal in each of its processes and runs what was rung for
    beat       looks every second for turns that have come, and rings again for what waits

Nothing here knows what a job does, and nothing is kept here: the table ``jobs`` is the truth.
"""
