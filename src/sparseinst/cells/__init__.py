"""Objects as people who count cells want them: measurements, stacks, and files for Fiji, QuPath and Cellpose."""
