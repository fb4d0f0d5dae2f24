import numpy as np
import pytest
from PIL import Image

from sparseinst.data.prepare import stack
from sparseinst.exporting.quantise import decoder_operations, quantise
from sparseinst.inference.predictor import Predictor
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.openvino_backend import OpenVINOBackend
from sparseinst.runtime.torch_backend import TorchBackend
from sparseinst.runtime.tracing import to_openvino, trace


@pytest.mark.parametrize("decoder", ["model", "seeds"])
def test_convolutions_before_the_decoder_become_8_bit(decoder, request, pictures, tmp_path) -> None:
    model = request.getfixturevalue(decoder)
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    exported = Exported(config=model.config)
    floating = to_openvino(trace(model, exported), exported, exported.config.preprocess)
    kept = decoder_operations(floating)
    kinds = {op.get_friendly_name(): op.get_type_name() for op in floating.get_ops()}
    heavy = {name for name, kind in kinds.items() if kind in ("Convolution", "GroupConvolution")}
    assert heavy & kept and heavy - kept
    # Of slots gathering, mixing, three heads, masks; of seeds drafts, gathering, mixing, refining, masks.
    assert sum(kinds[name] == "MatMul" for name in kept) >= 5
    ours = {"model": ("TopK" in kinds.values(), 2 + 1 + 1), "seeds": (True, 2 * (1 + 2) + 1 + 1)}
    assert ours[decoder][0] and len(heavy & kept) == ours[decoder][1], len(heavy & kept)

    quantised = quantise(floating, paths, model.config.preprocess, image_type="uint8")
    sources = {
        op.get_friendly_name(): {value.get_node().get_type_name() for value in op.input_values()}
        for op in quantised.get_ops()
    }
    assert any("FakeQuantize" in sources[name] for name in heavy - kept)
    # Nothing that the decoder takes or makes: not its sums, probabilities and scores either.
    assert all("FakeQuantize" not in sources[name] for name in kept)
    assert not any(
        value.get_node().get_friendly_name() in kept
        for op in quantised.get_ops()
        if op.get_type_name() == "FakeQuantize"
        for value in op.input_values()
    )

    for name, value in exported.to_metadata().items():
        quantised.set_rt_info(value, ["sparseinst", name])
    batch = stack([Predictor(model).pipeline.prepare(pictures[0])])
    ours, theirs = OpenVINOBackend(quantised)(*batch), TorchBackend(model)(*batch)
    # Seeds come best first, and 8 bits change who is better.
    difference = np.abs(np.sort(ours.raw_scores) - np.sort(theirs.raw_scores)).max()
    assert 0 < difference < 0.1
