"""The engine as a tree on disk: looked at, staged, completed with the customer's files, swapped in."""
