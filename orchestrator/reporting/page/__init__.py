"""report.html: the whole sweep on one page that needs no network, trusts no text, and can be sent to a colleague."""

FILE = "report.html"
"""The page's name in a sweep's directory."""
