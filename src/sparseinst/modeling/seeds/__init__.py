"""Our own decoder: instances begin at seeds, cells that say "an object of this class is here"."""

from sparseinst.modeling.seeds.decoder import Fields, SeedsDecoder, SeedsPredictor
from sparseinst.modeling.seeds.selection import candidates_of

__all__ = ["Fields", "SeedsDecoder", "SeedsPredictor", "candidates_of"]
