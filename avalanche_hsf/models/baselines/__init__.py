"""The networks that ours are compared with."""
