"""report.html: the whole sweep on one page that needs no network, trusts no text, and can be sent to a colleague."""
