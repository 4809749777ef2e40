"""Processes that are killed by strace in the middle of what they do, and what they leave behind."""
