"""HTTP: JSON for operators and engines, the TUF tree, health. Only here and in `app` is Flask imported.

Conventions for whoever adds a route for operators. Take ``operators/engines.py`` for an example.

- A topic is a module in ``operators/`` with ``routes = Routes("topic", "What it is about.")``, listed in
  ``operators.ROUTES``. A view is three lines: it calls one service with ``portal()``, ``actor()``,
  ``now()`` of ``context`` and returns what the service gave, a frozen dataclass.
- ``routes.get``, ``.page``, ``.post``, ``.patch`` declare all the rest, once: address, ``needs`` (READERS,
  PUBLISHERS or ADMINS), ``query``, ``body``, ``answer``, and in ``refuses`` the branches of our error tree
  the service raises besides the usual ones. It is checked in this order and documented by itself: token and
  scope, unknown parameters, If-Match, query, body. The view gets ``query=``, ``body=``, ``expected=`` as
  declared. The first line of the view's docstring is the summary in the document.
- Names in addresses are ``<name:engine_id>``: what cannot be a name is a 404 before the view is called.
- Schemas are in ``schemas/``, by topic. An ``AnswerSchema`` reads a dataclass' attributes; every field is
  always there, null where there is nothing (``allow_none``). The CLI's ``--json`` is
  ``SomeSchema.write(value)`` of the same schema. A ``RequestSchema`` names the dataclass it ``makes`` and
  refuses unknown fields. Fields of requests are ``Text``, ``Whole``, ``Flag``, ``choice`` (in a query
  ``Digits``) of ``schemas.base`` (they cap and are as strict as documented).
- Lists are pages: the view returns ``Page(items, place_of_the_last_or_None)``. Filters are fields of a
  subclass of ``PageQuerySchema`` and of ``PageQuery``. Newest first, or by id; the place is a text or a
  tuple of texts, whose kinds the schema's ``cursor = Cursor(Place.…)`` names and checks.
- What can be edited counts its revisions. GET returns ``Shown(value, revision=…)`` (the ETag); the service
  of a PATCH takes ``expected: Expected``, calls ``expected.check(found)`` on the locked row, adds one to
  the revision in the same UPDATE and writes ``add_audit(…, before=…, after=…)``.
- To make something is POST with 201 and ``Shown(value, location=…)``; to do something to a thing is POST to
  ``/things/<name:id>/verb`` with 200 and the thing as it is now. Doing it twice changes nothing. Every POST
  takes an Idempotency-Key: then the view's ``portal()`` works within one transaction with the kept answer.
  So a service behind a POST writes rows and nothing else, and takes ``portal.database`` from its argument.
- Raw bodies (tus, bundles) and what engines send are ``routes.raw``: the view reads and answers,
  ``document`` is its OpenAPI operation. Routes outside of ``Routes`` carry ``@declare(…)`` of ``access``: a
  test walks the address map and fails on a route that does not say who may call it.
- Errors are raised, never answered: a branch of ``errors`` with a kebab-case code and a remedy;
  ``problems`` gives the status. A code that goes over the wire stands in docs/protocol.md (engines) or
  docs/api.md (operators).
"""
