"""Words of shops that say nothing about a product."""

from __future__ import annotations

import re

_SHOPS = (
    r"Amazon(?:\.(?:com|co\.uk|de|fr|it|es|ca|in|cn|co\.jp))?|eBay(?:\.\w+)?|Walmart(?:\.com)?|Best ?Buy(?:\.com)?"
    r"|Newegg(?:\.com|\.ca)?|AliExpress(?:\.com)?|Alibaba(?:\.com)?|Target(?:\.com)?|Etsy(?:\.com)?|B&H Photo(?: Video)?"
    r"|Google Shopping|淘宝网?|天猫(?:超市|商城)?|京东(?:商城)?|阿里巴巴|苏宁易购|拼多多|1688(?:\.com)?"
)
# What is removed: the one table of it. A shop's name counts only behind a sign at the end, or before a colon in front.
_TABLE = (
    rf"(?:\s*\|\s*|\s+[-\u2013\u2014:]\s+|\s*[-\u2013\u2014]{{1,3}}\s*(?=[^\x00-\x7f]))(?:{_SHOPS})\s*$",
    r"^\s*(?:Amazon\.\w+|eBay|Walmart\.com)\s*:\s+",
    r"\b(?:buy|shop|order) (?:it )?(?:now|online)\b(?: at (?:the )?(?:best|low|lowest) prices?\b)?",
    r"\bat (?:the )?(?:best|lowest) prices?\b",
    r"\b(?:with )?free (?:shipping|delivery|returns?|postage)\b(?: (?:worldwide|on all orders))?",
    r"\b(?:click here|add to cart|money[- ]back guarantee)\b",
    r"(?:全国|江浙沪|顺丰)?包邮|免邮费?|免运费|(?:大量)?现货(?:速发|秒发)?|(?:正品|品质)保[证障]|假一[赔罚][十三]|七天无理由(?:退换货?|退货)?|厂家直销|官方正品",
)
_BOILERPLATE = re.compile("|".join(f"(?:{row})" for row in _TABLE), re.IGNORECASE)
_LEFT_OVER = " |-\u2013\u2014:,;\u3001\u00b7!"
_EMPTY = re.compile(r"[\[(【]\s*[\])】]")


def without_boilerplate(text: str) -> str:
    """The text, its characters folded, without the phrases of shops; a text that is nothing else stays as it is."""
    found = _BOILERPLATE.sub(" ", text)
    if found == text:
        return text
    return " ".join(_EMPTY.sub(" ", found).split()).strip(_LEFT_OVER) or text
