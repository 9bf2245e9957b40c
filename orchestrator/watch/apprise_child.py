"""The process that sends one message by apprise: reads it on its standard input, and says of a failure no more than what kind."""

import json
import logging
import sys


def main() -> int:
    """Send it; return the exit code."""
    order = json.loads(sys.stdin.buffer.read())
    logging.disable(logging.CRITICAL)  # apprise's own words may have a URL in them
    try:
        import apprise

        sender = apprise.Apprise()
        unknown = [n for n, url in enumerate(order["urls"], 1) if not sender.add(url)]
        if unknown:
            sys.stderr.write(f"URL {unknown[0]} of it is none that apprise knows")
            return 1
        is_told = sender.notify(title=order["title"], body=order["text"])
    except Exception as error:  # noqa: BLE001 - its words may have a URL in them
        sys.stderr.write(f"apprise failed ({type(error).__name__})")
        return 1
    if not is_told:
        sys.stderr.write("the service did not take it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
