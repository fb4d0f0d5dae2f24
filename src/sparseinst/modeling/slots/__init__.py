"""The paper's decoder: a fixed set of learned activation maps, matched one to one with the instances in training."""
