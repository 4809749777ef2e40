"""The processes of a portal: gunicorn with our application, and the parent that keeps it alive.

``web`` is gunicorn alone in the foreground; ``parent`` starts it as a child, restarts what dies and
leaves nothing behind when it is killed itself. Linux only: signals are waited for, not handled, and
children ask the kernel to be told of their parent's death.
"""
