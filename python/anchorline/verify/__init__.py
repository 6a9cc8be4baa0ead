"""`anchorline verify`: the reference, run on a built database, and compared with what it holds."""

from anchorline.verify.run import Comparison, batch_ids, compare, run_parameters, verify

__all__ = ["Comparison", "batch_ids", "compare", "run_parameters", "verify"]
