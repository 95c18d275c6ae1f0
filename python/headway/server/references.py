"""What a URI-reference is: a URI, or a part of one that a base would complete.

Source: RFC 3986, appendix A. An IPv6 address is only bounded by its brackets and characters: nothing here connects to it.
"""

from __future__ import annotations

import re
from typing import Final

_ENCODED: Final = "%[0-9A-Fa-f]{2}"
_PLAIN: Final = r"A-Za-z0-9\-._~!$&'()*+,;="
"""Unreserved characters and sub-delims."""

_NAME: Final = f"(?:[{_PLAIN}]|{_ENCODED})*"
_USER: Final = f"(?:(?:[{_PLAIN}:]|{_ENCODED})*@)?"
_AUTHORITY: Final = rf"//{_USER}(?:\[[0-9A-Fa-fv{_PLAIN}:]+\]|{_NAME})(?::[0-9]*)?"
_PATH: Final = f"(?:[{_PLAIN}:@/]|{_ENCODED})*"
_FIRST: Final = f"(?:[{_PLAIN}@]|{_ENCODED})*"
"""A relative path's first segment has no colon: what stands before one would be a scheme."""

_REST: Final = f"(?:[{_PLAIN}:@/?]|{_ENCODED})*"
_URI_REFERENCE: Final = re.compile(
    rf"(?:(?:[A-Za-z][A-Za-z0-9+.\-]*:)?{_AUTHORITY}(?:/{_PATH})?"
    rf"|[A-Za-z][A-Za-z0-9+.\-]*:(?!//){_PATH}"
    rf"|(?!//){_FIRST}(?:/{_PATH})?)"
    rf"(?:\?{_REST})?(?:#{_REST})?"
)


def is_uri_reference(text: str) -> bool:
    """Whether a text is one, and not empty. Takes time in proportion to its length."""
    return bool(text) and _URI_REFERENCE.fullmatch(text) is not None
