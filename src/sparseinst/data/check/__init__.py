"""What is wrong with a data set, and what can be put right without asking."""

from sparseinst.data.check.checkup import CheckedPart, Checkup, check_data
from sparseinst.data.check.findings import KINDS, Finding, Level, Sample
from sparseinst.data.check.fixing import write_fixed

__all__ = ["KINDS", "CheckedPart", "Checkup", "Finding", "Level", "Sample", "check_data", "write_fixed"]
