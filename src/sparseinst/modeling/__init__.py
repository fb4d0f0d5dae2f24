"""The networks: backbone, encoder, decoder (the paper's slots, our seeds), scoring, matching and losses."""
