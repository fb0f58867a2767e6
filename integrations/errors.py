"""What goes wrong and is no bug: said in one sentence that tells how to mend it."""

import errno


class InputError(ValueError):
    """Bad input of a command; printed as one sentence, exit code 2."""


#: What a user can mend -> how.
_REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that can be written to",
    errno.EPERM: "choose a folder that can be written to",
    errno.EIO: "check the disk",
    errno.ESTALE: "check the file server",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOTDIR: "choose another path",
    errno.EISDIR: "choose another path",
    errno.ELOOP: "choose another path",
    errno.ENOENT: "check that nobody removed it meanwhile",
}


def trouble_of_the_machine(error: OSError) -> str | None:
    """An error of the operating system as one sentence; None if no user can mend it."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    place = f"{error.filename}: " if error.filename is not None else ""
    what = (error.strerror or str(error)).lower()
    return f"{place}{what}; {remedy}. The same command goes on from what was finished."
