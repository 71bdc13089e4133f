"""What runs inside Redis. Each script touches keys of one hash slot only, so all of them work on Redis Cluster."""

from __future__ import annotations

import hashlib

import msgspec

Command = tuple[str, ...]
"""A command and its arguments, ready to be packed."""


class Script(msgspec.Struct, frozen=True):
    """A script and the name that Redis calls it by."""

    source: str
    sha: str

    def call(self, names: list[str], arguments: list[str]) -> Command:
        """The command that runs it on the keys ``names``."""
        return ("EVALSHA", self.sha, str(len(names)), *names, *arguments)


def _script(source: str) -> Script:
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


APPLY = _script("""
local fence = redis.call('GET', KEYS[1])
if fence ~= ARGV[1] then return tonumber(fence) or -1 end
local at = 2
for n = 2, #KEYS do
  local verb, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  if verb ~= 'MERGE' then redis.call('DEL', KEYS[n]) end
  if last > at + 1 then
    redis.call(verb == 'ZADD' and 'ZADD' or 'HSET', KEYS[n], unpack(ARGV, at + 2, last))
  end
  at = last + 1
end
return 0
""")
"""Keys: a fence, products' keys. Arguments: the term, then for each key a verb, a number, and so many arguments.

The verbs: ``ZADD`` replaces a list, ``HSET`` a card, ``MERGE`` sets fields of a card, ``DEL`` removes either. Returns 0,
or what stands at the fence instead of the term (-1: nothing), and then changed nothing.
"""

RAISE = _script("""
local fence = tonumber(redis.call('GET', KEYS[1]))
if not fence or fence < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) return 0 end
return fence - tonumber(ARGV[1])
""")
"""Key: a fence. Argument: a term. Returns how far above it the fence stands."""

LEAD = _script("""
local epoch, leader, lease = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'leader', 'lease_until'))
local time = redis.call('TIME')
local now, known = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
local term = tonumber(epoch) or 0
if leader and leader ~= ARGV[1] and tonumber(lease) > now then return 0 end
if leader ~= ARGV[1] or term ~= known then
  term = math.max(term + 1, known + 1, time[1] * 1000000 + time[2])
  for n = 4, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[n], ARGV[n + 1]) end
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', term), 'leader', ARGV[1])
end
redis.call('HSET', KEYS[1], 'lease_until', string.format('%.0f', now + tonumber(ARGV[2])))
return term
""")
"""Key: meta. Arguments: instance, lease in ms, term that the instance leads under (0: none), then fields and values that
a meta without them gets. Returns the term, or 0 while another instance leads."""

RESIGN = _script("""
local epoch, leader = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'leader'))
if leader == ARGV[1] and epoch == ARGV[2] then redis.call('HSET', KEYS[1], 'lease_until', '0') end
return 0
""")
"""Key: meta. Arguments: instance, term."""

_MINE = """
local epoch, seq = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq'))
if epoch ~= ARGV[1] then return tonumber(epoch) or -1 end
"""

SEQUENCE = _script(_MINE + "return seq or '0'")
"""Key: meta. Argument: the term. Returns the number of the last write as text, or what stands in place of the term."""

ADVANCE = _script(
    _MINE
    + """
if (seq or '0') ~= ARGV[2] and seq ~= ARGV[3] then return -2 end
redis.call('HSET', KEYS[1], 'seq', ARGV[3], unpack(ARGV, 5))
if ARGV[4] == 'live' or ARGV[4] == 'ready' and redis.call('HGET', KEYS[1], 'state') == 'building' then
  redis.call('HSET', KEYS[1], 'state', ARGV[4])
end
return 0
"""
)
"""Key: meta. Arguments: the term, number of the last write, of this one, the state to reach (or nothing), then fields and
values. Returns 0; what stands in place of the term; or -2 when the last write is not the one it should be."""

ALL = (APPLY, RAISE, LEAD, RESIGN, SEQUENCE, ADVANCE)
