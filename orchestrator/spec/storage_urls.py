"""What names a place for the second copy of a sweep: s3://BUCKET/PATH, gs://BUCKET/PATH or file:///PATH, without a secret."""

from urllib.parse import urlsplit

SCHEMES = ("s3", "gs", "file")

FORMS = "s3://BUCKET/PATH, gs://BUCKET/PATH or file:///PATH"


def is_storage_url(text: str) -> bool:
    """Return whether a text is meant as one."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def fault(text: str) -> str | None:
    """Return what is wrong with such a URL, as the end of a sentence that does not repeat it; None for nothing."""
    try:
        url = urlsplit(text)
    except ValueError:
        return f"is no URL; allowed: {FORMS}"
    if "://" not in text or url.scheme not in SCHEMES:
        return f"is no place for a copy; allowed: {FORMS}"
    if "@" in url.netloc or url.query:
        return (
            "holds more than a place: credentials and endpoints come from the environment alone "
            "(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS...)"
        )
    if url.scheme == "file" and (url.netloc or not url.path.strip("/")):
        return "names no directory of this machine; write file:///mnt/backup"
    if url.scheme != "file" and not url.netloc:
        return f"names no bucket; write {url.scheme}://BUCKET/PATH"
    path = url.path.removeprefix("/").removesuffix("/")
    parts = path.split("/") if path else []
    if url.fragment or "#" in text or any(part in {"", ".", ".."} for part in parts) or not text.isprintable():
        return "has a path with `..`, an empty part, or signs that no path of a store should have"
    return None
