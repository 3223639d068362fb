"""What is shown of an untrusted host's displays: text and raster images."""

from __future__ import annotations

from typing import Any

PLAIN_FORMS = ("text/plain", "image/png", "image/jpeg")


def plain_forms(content: dict[str, Any], host: str) -> dict[str, Any]:
    """Leave out every form of a MIME bundle that a front end could run.

    Parameters
    ----------
    content : dict
        Of a display or a result.
    host : str
        Who has sent it; named where nothing is left.

    Examples
    --------
    >>> plain_forms({"data": {"text/html": "<b>1</b>", "text/plain": "1"}}, "h")["data"]
    {'text/plain': '1'}
    """
    data, metadata = _mapping(content.get("data")), _mapping(content.get("metadata"))
    kept = {form: data[form] for form in PLAIN_FORMS if isinstance(data.get(form), str)}
    if data and not kept:
        forms = ", ".join(str(form) for form in data)
        kept["text/plain"] = f'<{forms} of {host} is in the journal only: pickles = "keep">'
    shown = {**content, "data": kept}
    shown["metadata"] = {form: metadata[form] for form in kept if form in metadata}
    return shown


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
