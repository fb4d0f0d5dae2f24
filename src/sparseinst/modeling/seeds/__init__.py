"""Our own decoder: instances begin at seeds, cells that say "an object of this class is here"."""
