"""``kinstream run`` that is killed as soon as it has done a step of a commit: dying.py STEP."""

import os
import signal
import sys

from consumer.app import build_service
from consumer.config import load_settings

SERVICE = os.getpid()


def passed(step: str) -> None:
    """A child that writes a snapshot takes the service along, and dies with it."""
    if step == sys.argv[1]:
        os.kill(SERVICE, signal.SIGKILL)
        signal.pause()


if __name__ == "__main__":
    build_service(load_settings(), passed=passed).run()
