import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

NETWORKS = {
    "r50": "sparse_inst_r50_base",
    "r50d": "sparse_inst_r50vd_base",
    "r50-giam": "sparse_inst_r50_giam",
    "r50-giam-soft": "sparse_inst_r50_giam_soft",
    "r50d-giam": "sparse_inst_r50vd_giam",
    "r50-dcn-giam": "sparse_inst_r50_dcn_giam_aug",
    "r50d-dcn-giam": "sparse_inst_r50vd_dcn_giam_aug",
    "r101-giam": "sparse_inst_r101_giam",
    "r101-dcn-giam": "sparse_inst_r101_dcn_giam",
    "cspdarknet53-giam": "sparse_inst_cspdarknet53_giam",
    "darknet53-giam": "sparse_inst_darknet53_giam",
    "pvtv2-b1-giam": "sparse_inst_pvt_b1_giam",
    "pvtv2-b2-li-giam": "sparse_inst_pvt_b2_li_giam",
}
"""Preset -> published network, with its tensors' names and its outputs in the reference."""


@pytest.fixture(scope="session")
def seeded(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeded_weights", shared / "reference" / "seeded_weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["seeded_weights"] = module
    spec.loader.exec_module(module)
    return module
