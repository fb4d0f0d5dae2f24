"""Pure tensor functions, each beside the paper or published value it follows."""
