"""Sizes with units: one writing for all, and the other writings that shops use."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        name: how it is written here, after a number and a space.
        latin: other writings, whose case does not matter.
        chinese: writings in Chinese.
    """

    name: str
    latin: tuple[str, ...] = ()
    chinese: tuple[str, ...] = ()


INCH = Unit("inch", ("inches", "in."), ("英寸", "吋"))
UNITS = (
    INCH,
    Unit("ft", ("feet", "foot"), ("英尺",)),
    Unit("mm", ("millimeter", "millimeters", "millimetre", "millimetres"), ("毫米",)),
    Unit("cm", ("centimeter", "centimeters", "centimetre", "centimetres"), ("厘米", "公分")),
    Unit("TB", ("terabyte", "terabytes")),
    Unit("GB", ("gigabytes", "gig")),
    Unit("MB", ("megabyte", "megabytes")),
    Unit("KB", ("kilobyte", "kilobytes")),
    Unit("GHz", ("gigahertz",)),
    Unit("MHz", ("megahertz",)),
    Unit("kHz", ("kilohertz",)),
    Unit("Hz", ("hertz",), ("赫兹",)),
    Unit("mAh", (), ("毫安时", "毫安")),
    Unit("kW", ("kilowatt", "kilowatts"), ("千瓦",)),
    Unit("W", ("watt", "watts"), ("瓦",)),
    Unit("V", ("volt", "volts"), ("伏",)),
    Unit("fl oz", ("fl. oz.", "fl. oz", "fl.oz.", "floz", "fluid ounce", "fluid ounces")),
    Unit("oz", ("oz.", "ounce", "ounces"), ("盎司",)),
    Unit("lb", ("lb.", "lbs", "lbs.", "pound", "pounds"), ("磅",)),
    Unit("kg", ("kgs", "kilo", "kilos", "kilogram", "kilograms"), ("公斤", "千克")),
    Unit("mg", ("milligram", "milligrams"), ("毫克",)),
    Unit("g", ("gr", "gram", "grams"), ("克",)),
    Unit("ml", ("milliliter", "milliliters", "millilitre", "millilitres"), ("毫升",)),
    Unit("L", ("liter", "liters", "litre", "litres", "ltr"), ("升",)),
    Unit("dpi"),
    Unit("fps"),
    Unit("rpm"),
    Unit("MP", ("megapixel", "megapixels")),
    Unit("pcs", ("pieces",)),
)
"""Chinese counting words (件, 个, 包) are no units: they also stand for other things. Neither are ``m`` and
``gigabyte``: 3M and Gigabyte are brands."""
CASED = frozenset({"g"})
"""Writings that count in this case only: 5G is a network."""
DIGITS = 5
"""Longer numbers are codes."""
INCH_DIGITS = 3
LETTER_DIGITS = 4
"""The same before a bare ``in``, and before a unit of one letter."""

# A code such as WD-500GB or A4.5GB holds no size; the second number of 14"x20" is one.
_NUMBER = (
    r"(?:(?<![A-Za-z0-9.])(?<![0-9][,/])(?<![A-Za-z]-)|(?<=[0-9\"]x))(?P<number>[0-9]{1,12}(?:[.,/][0-9]{1,12}){0,3})"
)
_END = r"(?![A-Za-z0-9])"
# The word "in" after a space is a unit only before what is measured in inches, or at an end.
_BARE_INCH = (
    r"-?in(?![A-Za-z0-9/-])(?!\s1\b)"
    r"|\sin(?=\s*(?:$|[,;|()\[\]+\u00d7]|x\b|w\b|h\b|d\b|l\b|tv\b|lcd\b|led\b|hd\b|ips\b|screen|display|laptop|notebook"
    r"|monitor|tablet|wide|tall|long|deep|diag))"
)
_INCH_SIGN = r"\"|\u2033|''|\u2032\u2032"
_OPENING = re.compile(r"(?<!\w)(?:\"|'')(?=\w)")
# Signs that make another word of a unit before them: 升级 (upgrade), 克拉 (carat), 瓦楞 (corrugated).
_WORDS = r"(?<=升)级|(?<=克)[拉重力]|(?<=瓦)楞"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def unified(text: str) -> str:
    """Every size as number, space, unit: ``14"``, ``14-inch`` and ``14英寸`` become ``14 inch``; ``16gb`` becomes ``16 GB``.

    The sign ``"`` is no inch in a text that quotes with it. Doing it again changes nothing.
    """
    if not any(map(str.isdecimal, text)):
        return text
    text = _WRITTEN.sub(_written, text)
    return text if _OPENING.search(text) else _SIGNED.sub(_signed, text)


def rewritten(text: str, random: np.random.Generator, probability: float) -> str:
    """Some of the sizes in another writing, as another shop might have it.

    Args:
        text: of any language; Chinese writings are used only where there is Chinese already.
        random: the dice.
        probability: that a size is rewritten.
    """
    chinese = _CHINESE.search(text) is not None

    def other(match: re.Match[str]) -> str:
        if _is_code(match) or random.random() >= probability:
            return match.group()
        number, unit = match["number"], _unit(match)
        separators = (" ", "", "-") if len(unit.name) > 1 else (" ", "")
        writings = [f"{number}{separator}{unit.name}" for separator in separators]
        writings += [f"{number}{unit.name.lower()}"]
        writings += [f'{number}"'] if unit is INCH else []
        writings += [f"{number}{name}" for name in unit.chinese] if chinese else []
        return writings[random.integers(len(writings))]

    return _WRITTEN.sub(other, text)


def _written(match: re.Match[str]) -> str:
    return match.group() if _is_code(match) else f"{match['number']} {_unit(match).name}"


def _is_code(match: re.Match[str]) -> bool:
    """Whether this is part of a code, such as 910443-004-g, 73l-00098 or f/2.8L, or of a word, such as 2005 w/case."""
    digits = re.split(r"[.,/]", match["number"])[0]
    if match["bare"]:
        return len(digits) > INCH_DIGITS
    letter = match["latin"] is not None and len(match["latin"]) == 1
    return len(digits) > (LETTER_DIGITS if letter else DIGITS) or (letter and _is_tied(match))


def _is_tied(match: re.Match[str]) -> bool:
    around = match.string[max(match.start() - 1, 0) : match.start()] + match.group() + match.string[match.end() :][:1]
    return "-" in around or "/" in around


def _signed(match: re.Match[str]) -> str:
    return f"{match['number']} inch" + (" " if match["glued"] else "")


def _unit(match: re.Match[str]) -> Unit:
    return INCH if match["bare"] else _BY_WRITING[(match["latin"] or match["chinese"]).lower()]


def _alternatives(writings: list[str]) -> str:
    return "|".join(re.escape(writing) for writing in sorted(writings, key=len, reverse=True))


_BY_WRITING = {writing.lower(): unit for unit in UNITS for writing in (unit.name, *unit.latin, *unit.chinese)}
_LATIN = _alternatives([name for unit in UNITS for name in (unit.name, *unit.latin) if name not in CASED])
_CASED = _alternatives(sorted(CASED))
_IN_CHINESE = _alternatives([name for unit in UNITS for name in unit.chinese])
_WRITTEN = re.compile(
    rf"{_NUMBER}(?:(?P<bare>(?ai:{_BARE_INCH}))"
    rf"|[\s-]?(?:(?P<latin>(?ai:{_LATIN})|{_CASED}){_END}|(?P<chinese>{_IN_CHINESE})(?!{_WORDS})))"
)
_SIGNED = re.compile(rf"{_NUMBER}\s?(?:{_INCH_SIGN})(?=(?P<glued>\w)?)")
