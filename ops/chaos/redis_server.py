"""A real Redis that loses its data, or gets older data back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import redis
from daemon import Daemon
from packages import require
from processes import free_port

START_SECONDS = 20.0
APPENDED = "appendonlydir"


class RedisServer(Daemon):
    """With an append-only file, as operations ask for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        self._always = [*command, "--save", "", "--maxmemory-policy", "noeviction"]
        super().__init__(f"redis-{self.port}", self._always, folder / "server.log")
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=30)

    def start(self) -> None:
        """Start it with the data that it has, and wait until they are loaded."""
        self._start("yes")

    def start_from_dump(self, dump: Path) -> None:
        """Start it with nothing but the data of a dump."""
        self.wipe()
        shutil.copy(dump, self.folder / "dump.rdb")
        self._start("no")
        self.client.config_set("appendonly", "yes")
        self.wait("appending", self._appends, START_SECONDS)

    def wipe(self) -> None:
        """Remove all data of a server that does not run."""
        shutil.rmtree(self.folder / APPENDED, ignore_errors=True)
        (self.folder / "dump.rdb").unlink(missing_ok=True)

    def dump(self, to: Path) -> None:
        """Save everything as of now."""
        self.client.save()
        shutil.copy(self.folder / "dump.rdb", to)

    def follow(self, other: RedisServer) -> None:
        """Become a replica, and wait until it has everything."""
        self.client.replicaof("127.0.0.1", other.port)
        self.wait("in sync", self._in_sync, START_SECONDS)

    def lead(self) -> None:
        """Be no replica any more: what comes after this it does not have."""
        self.client.replicaof("NO", "ONE")

    def _start(self, append: str) -> None:
        require(["redis-server"])
        self.command = [*self._always, "--appendonly", append]
        self.launch()
        self.wait("loaded", self._loaded, START_SECONDS)

    def _loaded(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            time.sleep(0.02)
            return False

    def _appends(self) -> bool:
        told = self.client.info("persistence")
        return bool(told["aof_enabled"]) and not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]

    def _in_sync(self) -> bool:
        told = self.client.info("replication")
        return (told["role"], told.get("master_link_status")) == ("slave", "up")
