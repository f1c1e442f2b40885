"""Work beside the work has a lower priority than the thread that started it."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from factory import priority


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux")
def test_a_thread_that_steps_back_leaves_the_others_where_they_are() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, initializer=priority.step_back) as beside:
        assert beside.submit(niceness).result() == min(before + priority.BESIDE, 19)
    assert niceness() == before
