"""How much a process is preferred where the processor is wanted by several."""

import os


def set_nice(nice: int) -> str:
    """Set the niceness of every thread of this process, from -20 (first) to 19; "" or why that was refused."""
    try:
        for thread in os.listdir("/proc/self/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), nice)
    except PermissionError:
        return (
            f"niceness {nice} is not permitted to this user, so a busy machine delays setpoints more; "
            "allow it in /etc/security/limits.conf (nice), by CAP_SYS_NICE, or set the parameter nice to 0"
        )
    except OSError as error:
        return f"niceness {nice} could not be set: {error}"
    return ""
