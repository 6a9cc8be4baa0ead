"""Refresh the marts: one at a time per database, by change, with a log.

`refresh` is what the command line and `anchorline watch` call; dbt runs in this process
(`dbt_process`), under a lock (`lock`), for the batches that `scope` finds, and is noted in the
refresh log (`log`).
"""

from anchorline.refresh.lock import RefreshBusyError
from anchorline.refresh.run import Refresher, RefreshError, RefreshOutcome, Scope

__all__ = ["RefreshBusyError", "RefreshError", "RefreshOutcome", "Refresher", "Scope"]
