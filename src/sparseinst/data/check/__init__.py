"""What is wrong with a data set, and what can be put right without asking."""
