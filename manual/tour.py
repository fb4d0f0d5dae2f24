# The cells of examples/tour.ipynb, which manual/notebook.py makes of this file.
# ruff: noqa: B018
# %% [markdown]
# # A tour
#
# Find objects, look at why they were found, measure them, follow them, and say how good it is.
# The files are made by `python manual/prepared.py .`, the notebook with its outputs by `python manual/notebook.py`.

# %%
import io

import numpy as np
from IPython.display import Image as Shown
from PIL import Image

from sparseinst import Predictor, evaluate, track


def show(picture, longest=700):
    """A picture as JPEG, which keeps the notebook small."""
    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((longest, longest))
    image.save(file, "jpeg", quality=85)
    return Shown(file.getvalue(), format="jpeg")


# %% [markdown]
# ## Find
#
# `nuclei` ships with the package and finds cell nuclei in micrographs. Any other network is named the same way:
# a file of weights, a published checkpoint, an exported file.

# %%
predictor = Predictor("nuclei")
found = predictor("cells.png")
found

# %%
image = np.asarray(Image.open("cells.png").convert("RGB"))
show(found.plot(image))

# %% [markdown]
# `Instances` are a value: they can be sliced, and masks are decoded when they are asked for.

# %%
sure = found[found.scores > 0.8]
len(sure), sure.boxes[:2], sure.masks.shape

# %% [markdown]
# ## Why
#
# The activation map of an object is the weight that the features of each pixel have in it.

# %%
instances, maps = predictor.explain("cells.png")
best = int(np.argmax(instances.scores))
heat = maps.upsampled(best).max(0)
show(np.where(heat[..., None] > 0.3, [255, 200, 60], image // 2).astype(np.uint8))

# %% [markdown]
# ## Measure

# %%
found.measure("cells.png")[["area", "eccentricity", "mean_0"]].describe().round(2)

# %% [markdown]
# ## Images of any size
#
# What is too large for one pass is cut into tiles that are joined again.

# %%
len(predictor("large.tif"))

# %% [markdown]
# ## Follow

# %%
for frame, seen, ids, *_ in track("clip.mp4"):
    if frame.index % 4 == 0:
        print(f"{frame.seconds:.1f} s: {len(seen)} objects, {(ids > 0).sum()} of them followed")

# %% [markdown]
# ## How good is it
#
# Two images say little; [the manual](../docs/evaluate.md) says what the figures mean.

# %%
measured = evaluate("nuclei", "my_data/val", "my_data/val.json", max_dets=300)
f"AP {measured.ap:.2f}, AP50 {measured.ap50:.2f}"
