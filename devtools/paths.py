"""The cache folder of the local runner, outside every checkout.

    roots/<suite>-<key>/        an unpacked Debian: both servers, or Prometheus; for all checkouts
    instances/<name>-<hash>/    one per checkout and purpose: data, certificates, passwords, logs

It may be deleted while nothing is running; the next run creates it again.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `$WARREN_CACHE`, else `$XDG_CACHE_HOME/warren`, else `~/.cache/warren`."""
    if chosen := environ.get("WARREN_CACHE"):
        return Path(chosen).expanduser().absolute()
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "warren"
    return Path.home() / ".cache" / "warren"


def roots_dir(environ: Mapping[str, str] = os.environ) -> Path:
    return cache_dir(environ) / "roots"


def instance_dir(name: str, checkout: Path = CHECKOUT, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of an instance (`up`, `demo`, `test`) of a checkout; it may not exist yet."""
    return cache_dir(environ) / "instances" / f"{name}-{short_hash(str(checkout.resolve()))}"


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
