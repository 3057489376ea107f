"""Write adaptive_clips.npz beside this file: ``python make_adaptive_clips.py``.

Adaptive gradient clipping in the terms of PyTorch 2.13.0 on a CPU, in float64, of float32 numbers,
as make_golden.py has them; AutoClip's thresholds from `numpy.percentile` over all norms so far;
ZClip's from the algorithm of its paper, with the norms in a list for the warm-up and no epsilon.
"""

import zlib

import numpy as np
import torch
from make_golden import HERE, drawn, exact

SPIKES = {7: 30.0, 25: 8.0, 31: 100.0, 32: 50.0, 44: 1e30}  # by place among the norms


def agc(rng):
    """Units of a weight are its rows; a vector is one unit (timm, and the authors' code)."""
    params = [drawn(rng, 6, 5), drawn(rng, 6, scale=0.1), drawn(rng, 1, 6), drawn(rng, 1)]
    grads = [drawn(rng, 6, 5), drawn(rng, 6), drawn(rng, 1, 6, scale=1e-3), drawn(rng, 1)]
    params[0][2] = 0
    params[0][3] *= 1e-4
    grads[0][4] = 0
    out = {}
    for k, (p, g) in enumerate(zip(params, grads, strict=True)):
        out |= {f"p{k}": p, f"g{k}": g}
        for factor in (0.01, 0.5):
            w, d = torch.tensor(p), torch.tensor(g)
            axes = tuple(range(1, w.ndim)) if w.ndim > 1 else (0,)
            size, norm = (torch.linalg.vector_norm(t, dim=axes, keepdim=True) for t in (w, d))
            most = factor * size.clamp(min=1e-3)
            out[f"agc_{factor}.g{k}"] = torch.where(norm > most, d * most / norm, d).numpy()
    return out


def autoclip(norms):
    return {
        f"autoclip_{p}": np.array([np.percentile(norms[: k + 1], p) for k in range(len(norms))])
        for p in (0, 10, 37.5, 50, 100)
    }


def zclip(norms, threshold=2.5, alpha=0.97, warmup=25):
    limits, means, deviations, first = [], [], [], []
    for norm in norms:
        limit = np.inf
        if len(first) < warmup:
            first.append(norm)
            mean, variance = np.mean(first), np.var(first)
        else:
            z = (norm - mean) / np.sqrt(variance)
            if z > threshold:
                limit = mean + threshold * np.sqrt(variance) / (z / threshold)
            norm = min(norm, limit)
            mean = alpha * mean + (1 - alpha) * norm
            variance = alpha * variance + (1 - alpha) * (norm - mean) ** 2
        limits.append(limit)
        means.append(mean)
        deviations.append(np.sqrt(variance))
    return {"limits": limits, "means": means, "deviations": deviations}


def main():
    rng = np.random.default_rng(zlib.crc32(b"adaptive_clips"))
    norms = exact(np.exp(0.5 * rng.standard_normal(50)))
    for place, size in SPIKES.items():
        norms[place] *= size
    out = agc(rng) | {"norms": norms} | autoclip(norms)
    for name, options in (("zclip", {}), ("zclip_2", {"threshold": 2, "alpha": 0.9, "warmup": 10})):
        out |= {f"{name}.{key}": np.array(v) for key, v in zclip(norms, **options).items()}
    path = HERE / "adaptive_clips.npz"
    np.savez_compressed(path, **out)
    print(f"{path.name}: {len(out)} arrays, {path.stat().st_size} bytes, {torch.__version__}")


if __name__ == "__main__":
    main()
