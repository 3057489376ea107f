"""Training steps and recurrent passes of fastgrad beside every installed peer, interleaved.

Run it from the repository root with ``python -m bench.peers``. Each (peer, threads) lives in a
worker process of its own, pinned to as many cores as it may use; one worker computes at a time
and the parent goes round them A B A B, so that drift of the machine hits all alike.
"""
