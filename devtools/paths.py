"""Where the local runner keeps what it makes: one cache folder outside every checkout.

    roots/<suite>-<key>/        an unpacked Debian with both servers, shared by all checkouts
    instances/<name>-<hash>/    one per checkout and purpose: data, certificates, passwords, logs

Everything below it may be deleted at any time while nothing runs; the next run makes it anew.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CHECKOUT", "cache_dir", "instance_dir", "roots_dir"]

CHECKOUT = Path(__file__).resolve().parents[1]


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`$WARREN_CACHE`, else `$XDG_CACHE_HOME/warren`, else `~/.cache/warren`."""
    if chosen := environ.get("WARREN_CACHE"):
        return Path(chosen).expanduser().absolute()
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "warren"
    return Path.home() / ".cache" / "warren"


def roots_dir(environ: Mapping[str, str] = os.environ) -> Path:
    return cache_dir(environ) / "roots"


def instance_dir(name: str, checkout: Path = CHECKOUT, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of one purpose (`up`, `demo`, `test`) of one checkout; it need not exist yet."""
    return cache_dir(environ) / "instances" / f"{name}-{short_hash(str(checkout.resolve()))}"


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
