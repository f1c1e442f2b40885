"""Work beside the work: it takes the processor time that the main work leaves."""

from __future__ import annotations

import os
import sys
import threading

BESIDE = 10  # of nice(2): a tenth of the share of a thread that does not step back


def step_back() -> None:
    """Lower the priority of this thread, and of threads and processes that it starts.

    Does nothing but on Linux, where a priority is a thread's own (setpriority(2)).
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, niceness + BESIDE)  # 19 at most, says the kernel
