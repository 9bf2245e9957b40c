"""The warm process that trials are forked from."""
