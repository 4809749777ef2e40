"""Uploads to a portal that go on where they were, whatever was cut: tus 1.0, the sending side.

    with HttpClient(ca_file=…) as client:
        portal = UploadPortal(client, "https://portal.example", token)
        published = send_file(portal, Path("bundle.zip"), memory=Memory.of_user(), patience=Patience())

``portal``     one request each: begin, ask, send a chunk, ask for the outcome
``sending``    the loop over them, until the portal has taken the bundle in or refused it
``patience``   how long to wait after a failure, and when to give up
``memory``     which upload belongs to which file, so that a second start of a command goes on
``tokens``     where the API token is kept
"""
