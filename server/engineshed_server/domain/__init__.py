"""The server's rules: values in, values out, the clock passed in, no I/O."""
