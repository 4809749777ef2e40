"""One function per use case: opens its transaction, asks the rules, writes, leaves an audit row.

Every function takes the ``Portal`` first and lets out only errors of ``engineshed_server.errors``.
"""
