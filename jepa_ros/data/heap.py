"""How the C library deals with memory that was freed; nothing happens where it is not glibc (its manual: "Malloc Tunable Parameters")."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE = 2**30  # bytes


def give_back() -> None:
    """Return to the system what is kept of freed memory."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def keep_for_reuse() -> None:
    """From now on, keep what this process frees for its next tensors of up to 1 GiB. By default the large ones are mapped
    and unmapped at every step of a training, and each page of theirs is cleared anew."""
    set_option = _function("mallopt")
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _LARGE)
        set_option(_TRIM_THRESHOLD, -1)  # never by itself; give_back does


def _function(name: str):
    return getattr(ctypes.CDLL(None), name, None)
