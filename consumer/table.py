"""The table of sites by their vector's bits, compiled by numba: open addressing with linear probing.

In a file of its own without a call into another, since numba's cache looks at the time stamp of the file it compiles.
"""

from __future__ import annotations

import numpy as np

from consumer.kernels import F32, I32, NONE, Rows, kernel

ODD = np.int64(-7046029254386353131)
"""2**64 / golden ratio, odd: the multiplier of Fibonacci hashing."""


@kernel
def hash_of(bits: I32) -> np.int64:
    """A hash of a vector's bits [dim]."""
    value = np.int64(0)
    for part in bits:
        value = (value ^ np.int64(part)) * ODD
        value ^= value >> 29
    return value


@kernel
def home(table: I32, value: np.int64) -> np.int64:
    """Where the search for a hash begins."""
    return (value ^ (value >> 32)) & (len(table) - 1)


@kernel
def find(rows: Rows, bits: I32, value: np.int64) -> np.int32:
    """The site whose vector has exactly these bits [dim], or -1."""
    stored = rows.vectors.view(np.int32)
    at = home(rows.table, value)
    while rows.table[at] >= 0:
        site = rows.table[at]
        if rows.hashes[site] == value and (stored[site] == bits).all():
            return np.int32(site)
        at = (at + 1) & (len(rows.table) - 1)
    return NONE


@kernel
def enter(rows: Rows, site: int) -> None:
    """Put a site into the table."""
    at = home(rows.table, rows.hashes[site])
    while rows.table[at] >= 0:
        at = (at + 1) & (len(rows.table) - 1)
    rows.table[at] = site


@kernel
def forget(rows: Rows, sites: I32) -> None:
    """Take sites [n] out of the table; those behind close the gap (Knuth's algorithm R for linear probing)."""
    mask = len(rows.table) - 1
    for site in sites:
        gap = home(rows.table, rows.hashes[site])
        while rows.table[gap] != site:
            gap = (gap + 1) & mask
        at = (gap + 1) & mask
        while rows.table[at] >= 0:
            if ((at - home(rows.table, rows.hashes[rows.table[at]])) & mask) >= ((at - gap) & mask):
                rows.table[gap] = rows.table[at]
                gap = at
            at = (at + 1) & mask
        rows.table[gap] = NONE


@kernel
def locate(rows: Rows, vectors: F32, free: I32, sites: I32) -> int:
    """The site of each vector [n] into sites [n]; new vectors take those of ``free`` in turn. Returns how many did."""
    bits = vectors.view(np.int32)
    taken = 0
    for i in range(len(vectors)):
        value = hash_of(bits[i])
        site = find(rows, bits[i], value)
        if site < 0:
            site = free[taken]
            taken += 1
            rows.vectors[site] = vectors[i]
            rows.hashes[site] = value
            enter(rows, site)
        sites[i] = site
    return taken


@kernel
def hash_all(rows: Rows, sites: I32) -> None:
    """Make the hashes of sites [n]."""
    bits = rows.vectors.view(np.int32)
    for site in sites:
        rows.hashes[site] = hash_of(bits[site])


@kernel
def fill_table(rows: Rows, sites: I32) -> None:
    """Make the table anew from all sites [n]."""
    rows.table[:] = NONE
    for site in sites:
        enter(rows, site)
