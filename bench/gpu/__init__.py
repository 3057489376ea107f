"""fastgrad's cuda backend beside PyTorch on a GPU: `python -m bench.gpu`; see `__main__`."""
