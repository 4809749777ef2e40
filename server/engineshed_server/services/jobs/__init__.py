"""Work that goes on by itself: asked for, rung, claimed, kept and ended; the truth is in the table ``jobs``.

    kinds        what can be done: a name, a function, how long it may take
    requesting   somebody wants one done, or wants it to end
    running      one claimed job from its claim to its end
    ringing      what waits is rung again: lost messages, dead workers, jobs that rested

How the bell sounds is not known here: ``Bell`` is a protocol, and the package ``jobs`` has the one of Celery.
"""
