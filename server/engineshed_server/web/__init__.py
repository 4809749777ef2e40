"""Pages for people: Jinja templates made on the server, a little htmx, one style, all of it served from here.

Every page works without JavaScript, but for the upload. What is for both, pages and programs (bodies,
addresses, files, uploads), is taken from ``api``; its routes for programs are not called from here.

To add a page:

- **View.** A topic is a module in ``views/`` with ``pages = Pages("topic")``, listed in ``views.TOPICS``. A
  view is a few lines: it calls one service with ``portal()``, ``actor()``, ``now()`` and returns
  ``render("topic.html", …)``. ``@pages.get("/topic", needs=Role.VIEWER)`` and ``@pages.post`` declare who
  may; login, role and the form's token are checked before the view is called. What changes something needs
  ``Role.ADMIN``, what is about users ``Role.OWNER``; a viewer is not shown its buttons (``{% if
  me.role.covers(roles.ADMIN) %}``). Addresses are those of the manual's words: ``/engines``,
  ``/engines/<name:engine_id>/revoke``.
- **Forms** are POSTs that end in ``flash("What was done.", "good")`` and ``go_to(url_for(…))``. Fields are
  read with ``forms.text``, ``forms.choice``, … (capped). An error of the service may be raised: it becomes
  a page that tells it. Where something was typed, ``render_again(template, err, …)`` shows the form anew,
  with the reason.
- **Lists** page in SQL. Filters, sort and place are in the address (``request.args``); the table stands in
  ``call table(…)``, ``pager(first, next)`` below it, ``empty(title, hint)`` where there is nothing.
- **Template** in ``templates/topic.html``: ``{% extends "base.html" %}``, ``block title``, ``block
  content`` with a ``<header><h1>``, then ``<section class="card">``. Pieces are in ``parts/pieces.html``
  and ``parts/forms.html`` (the latter imported ``with context``); times by ``| moment`` and ``| ago``,
  sizes by ``| size``. All text is escaped; ``| safe`` is never written. No ``style=``, ``on…=``,
  ``<script>`` with text: the policy forbids it.
- **Parts that look anew** have their own view, which renders a file ``topic/_part.html`` that the page
  includes: ``<div data-refresh="10" hx-get="…" hx-trigger="refresh" hx-swap="outerHTML">``. A hidden tab
  asks nothing, and such requests keep nobody logged in.
- **Scripts** are modules in ``static/``, named in ``block scripts`` by ``asset("name.js")``. htmx sends the
  form's token by itself; other requests send ``X-CSRFToken`` from the ``hx-headers`` of the body.
- **Menu**: a line in ``navigation.PLACES``. A warning above all pages: a function in ``banners.SOURCES``.
- **Tests**: ``tests/server/web/test_topic.py`` with the fixture ``site`` (``site.log_in(Role.ADMIN)`` gives
  a browser; ``browser.post(path, page=…, field=…)`` sends a form); ``tests.server.statements.counted`` for
  the statements of a page. Each role, each missing token and each header is walked over all pages by
  ``test_access`` and ``test_rendering``. In a real browser: ``tests/browser/test_topic.py`` with the
  fixture ``page``, which fails on console errors, on what the policy refused and on requests that leave the
  portal; ``check_accessibility(page)``. A form that changes something gets its line in ``test_audited``.
- **Screenshot**: a line in ``tests/browser/screenshots.py``; ``make screenshots`` writes it, light and
  dark.
"""
